"""Build sdist and wheel, look inside, and use the wheel in an empty environment without any extra."""

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
    "django_meetergo/static/meetergo/meetergo.css",
    "django_meetergo/templates/meetergo/book.html",
)
UNWANTED = ("tests/", "example_project/", "benchmarks/")

PROGRAM = """
from django.conf import settings
settings.configure(
    SECRET_KEY="x",
    DEBUG=True,
    ROOT_URLCONF="django_meetergo.urls",
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django_meetergo"],
    MEETERGO={"API_KEY": "rgo-sandbox0000000000000000000000000", "SANDBOX": True},
)
import django
django.setup()
from django.core.management import call_command
call_command("check")
call_command("migrate", verbosity=0)
call_command("makemigrations", "--check", "--dry-run", verbosity=0)
import django_meetergo.remote.client, django_meetergo.sandbox.app, django_meetergo.services.work
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder)
        run(sys.executable, "-m", "build", "--outdir", target, ROOT)
        [wheel], [sdist] = target.glob("*.whl"), target.glob("*.tar.gz")
        run(sys.executable, "-m", "twine", "check", "--strict", wheel, sdist)
        look_inside(wheel, sdist)
        use(wheel, target / "venv")
    sys.stdout.write("The package is complete and works without extras.\n")


def run(*command: str | Path) -> None:
    subprocess.run([str(part) for part in command], check=True)


def look_inside(wheel: Path, sdist: Path) -> None:
    """Everything a site needs is in the wheel, and nothing that it does not."""
    names = zipfile.ZipFile(wheel).namelist()
    if missing := [name for name in NEEDED if name not in names]:
        sys.exit(f"The wheel lacks {', '.join(missing)}.")
    if extra := [name for name in names if name.startswith(UNWANTED)]:
        sys.exit(f"The wheel should not hold {', '.join(extra)}.")
    with tarfile.open(sdist) as archive:
        if not any(name.endswith("tests/settings.py") for name in archive.getnames()):
            sys.exit("The source distribution lacks the tests.")


def use(wheel: Path, folder: Path) -> None:
    """Migrate and import in an environment that has the core dependencies and nothing else."""
    venv.create(folder, with_pip=True)
    python = folder / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    run(python, "-m", "pip", "install", "--quiet", wheel)
    run(python, "-W", "error::DeprecationWarning", "-c", PROGRAM)


if __name__ == "__main__":
    main()
