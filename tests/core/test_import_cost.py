"""What installing the app costs a process that does not use it yet."""

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
def test_heavy_packages_are_imported_on_first_use_only(first, then, forbidden):
    done = run(first, then, forbidden)

    assert done.returncode == 0, done.stderr


def test_an_imported_package_is_detected():
    """The test above can fail."""
    assert run("requests", "", ["requests"]).returncode == 1


FORKED = """
import importlib.abc, os, signal, sys, threading, time
{setup}
from django_meetergo.remote import transport

class SlowImport(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "requests":
            started.set()
            time.sleep(0.5)

started = threading.Event()
sys.meta_path.insert(0, SlowImport())
first = threading.Thread(target=transport.load_http_client)
first.start()
started.wait()
child = os.fork()
if child == 0:
    signal.alarm(5)  # kills the child if it waits for a thread that exists in its parent only
    transport.load_http_client()
    os._exit(0)
first.join()
assert os.waitpid(child, 0)[1] == 0, "the child is blocked"
"""


def test_a_fork_during_the_first_call_does_not_block_the_child():
    program = FORKED.format(setup=SETUP)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
