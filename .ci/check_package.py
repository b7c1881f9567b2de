"""Build sdist and wheel, check their files, and use the wheel in an environment without extras."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

NEEDED = (
    "django_meetergo/py.typed",
    "django_meetergo/migrations/0001_initial.py",
    "django_meetergo/sandbox/__main__.py",
    "django_meetergo/sandbox/static/sandbox.css",
    "django_meetergo/sandbox/static/sandbox.js",
    "django_meetergo/static/meetergo/meetergo.css",
    "django_meetergo/static/meetergo/pages.css",
    "django_meetergo/templates/meetergo/book.html",
)
UNWANTED = ("tests/", "example_project/", "benchmarks/")

PROGRAM = """
import importlib, pkgutil
from django.conf import settings
URL = "http://meetergo.sandbox"
settings.configure(
    SECRET_KEY="x",
    DEBUG=True,
    USE_TZ=True,
    ROOT_URLCONF="django_meetergo.urls",
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    INSTALLED_APPS=[
        "django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes",
        "django.contrib.messages", "django.contrib.sessions", "django_meetergo",
    ],
    MEETERGO={"API_KEY": "rgo-sandbox0000000000000000000000000", "SANDBOX": True, "BASE_URL": URL},
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
    SILENCED_SYSTEM_CHECKS=[
        "admin.E402", "admin.E403", "admin.E404", "admin.E408", "admin.E409", "admin.E410",
    ],
)
import django
django.setup()
from django.core.management import call_command
call_command("check")
call_command("migrate", verbosity=0)
call_command("makemigrations", "--check", "--dry-run", verbosity=0)

# Every module can be imported except those that need an extra; each of these names the missing package.
EXTRAS = {
    "celery": ["django_meetergo.tasks"],
    "django_tasks": ["django_meetergo.framework_tasks"],
    "factory": ["django_meetergo.testing.factories"],
    "wagtail": ["django_meetergo.contrib.wagtail."],
    "pytest": ["django_meetergo.testing.plugin"],
    "rest_framework": ["django_meetergo.contrib.rest_framework."],
    "django_filters": ["django_meetergo.contrib.rest_framework."],
    "drf_spectacular": ["django_meetergo.contrib.rest_framework."],
}
import django_meetergo
missing = set()
for module in pkgutil.walk_packages(django_meetergo.__path__, "django_meetergo."):
    if module.name.endswith("__main__"):
        continue
    try:
        importlib.import_module(module.name)
    except ModuleNotFoundError as error:
        assert module.name.startswith(tuple(EXTRAS.get(error.name, ["-"]))), (module.name, error)
        missing.add(error.name)
assert {"celery", "rest_framework"} <= missing, "an extra is installed"

# A booking works.
from datetime import timedelta
from django.utils import timezone
from django_meetergo.remote import transport
from django_meetergo.sandbox.app import Sandbox
from django_meetergo.services import AttendeeData, book_appointment, list_slots
from django_meetergo.testing.kit import SandboxKit
from django_meetergo.testing.sandbox_adapter import SandboxAdapter
sandbox = Sandbox(rate_limit=False)
transport.ADAPTERS[URL] = SandboxAdapter(sandbox.wsgi)
SandboxKit(sandbox, base_url=URL).sync_directory()
now = timezone.now()
found = list_slots(meeting_type="intro-call", start=now, end=now + timedelta(days=14))
jane = AttendeeData(email="jane@example.com", first_name="Jane", last_name="Doe")
booking = book_appointment(meeting_type="intro-call", start=found.times[0].start, attendee=jane)
assert booking.state == "confirmed", booking.reason
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder)
        run(sys.executable, "-m", "build", "--outdir", target, ROOT)
        [wheel], [sdist] = target.glob("*.whl"), target.glob("*.tar.gz")
        run(sys.executable, "-m", "twine", "check", "--strict", wheel, sdist)
        check_files(wheel, sdist)
        use_wheel(wheel, target / "venv")
    sys.stdout.write("The package is complete and works without extras.\n")


def run(*command: str | Path) -> None:
    subprocess.run([str(part) for part in command], check=True)


def check_files(wheel: Path, sdist: Path) -> None:
    """Exit unless the wheel has what a site needs and nothing else."""
    names = zipfile.ZipFile(wheel).namelist()
    if missing := [name for name in NEEDED if name not in names]:
        sys.exit(f"The wheel lacks {', '.join(missing)}.")
    if extra := [name for name in names if name.startswith(UNWANTED)]:
        sys.exit(f"The wheel should not hold {', '.join(extra)}.")
    with tarfile.open(sdist) as archive:
        if not any(name.endswith("tests/settings.py") for name in archive.getnames()):
            sys.exit("The source distribution lacks the tests.")


def use_wheel(wheel: Path, folder: Path) -> None:
    """Migrate, import every module and book, in an environment with the core dependencies only."""
    venv.create(folder, with_pip=True)
    python = folder / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    run(python, "-m", "pip", "install", "--quiet", wheel)
    run(python, "-W", "error::DeprecationWarning", "-c", PROGRAM)


if __name__ == "__main__":
    main()
