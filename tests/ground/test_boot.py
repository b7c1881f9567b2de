"""What installing the app costs a site that does not use it yet."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import sys
import {first}
{then}
loaded = sorted({{name.partition(".")[0] for name in sys.modules}} & set({forbidden!r}))
assert not loaded, f"loaded too early: {{loaded}}"
"""

HEAVY = ["requests", "urllib3", "celery", "rest_framework", "cryptography"]
ADMIN = ["django.contrib.admin", "django.contrib.sessions", "django.contrib.messages"]

SETUP = """
from django.conf import settings
settings.configure(
    SECRET_KEY="x",
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=[*[], "django.contrib.auth", "django.contrib.contenttypes", "django_meetergo"],
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
    MEETERGO={"API_KEY": "rgo-x"},
)
import django
django.setup()
"""


def run(first, then, forbidden):
    program = PROGRAM.format(first=first, then=then, forbidden=forbidden)
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("first", "then", "forbidden"),
    [
        ("django_meetergo", "", ["django", "requests", "celery", "rest_framework"]),
        ("django", SETUP, HEAVY),
        ("django", SETUP.replace("*[]", f"*{ADMIN}"), HEAVY),
        ("django_meetergo.testing.plugin", "", ["django", "requests", "celery"]),
    ],
    ids=["package", "setup", "setup-with-admin", "pytest-plugin"],
)
def test_nothing_heavy_is_loaded_before_it_is_used(first, then, forbidden):
    """The telephone, the cipher, Celery and DRF come in when somebody uses them."""
    done = run(first, then, forbidden)

    assert done.returncode == 0, done.stderr


def test_the_guard_can_fail():
    """A module that is there is found."""
    assert run("requests", "", ["requests"]).returncode == 1


FORKED = """
import importlib.abc, os, signal, sys, threading, time
{setup}
from django_meetergo.remote import transport

class Slow(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "requests":
            begun.set()
            time.sleep(0.5)

begun = threading.Event()
sys.meta_path.insert(0, Slow())
first = threading.Thread(target=transport.load_http_client)
first.start()
begun.wait()
child = os.fork()
if child == 0:
    signal.alarm(5)  # ends it, should it wait for a thread that is not here
    transport.load_http_client()
    os._exit(0)
first.join()
assert os.waitpid(child, 0)[1] == 0, "the child waits for ever"
"""


def test_a_process_that_is_forked_while_another_thread_makes_the_first_call_can_call_as_well():
    program = FORKED.format(setup=SETUP)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
