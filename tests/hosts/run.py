"""Run the journey of one site in a process of its own."""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from multiprocessing import get_context
from pathlib import Path

#: Loaded once for all sites: what needs no settings.
PRELOADED = (
    "cryptography.fernet",
    "django.core.management",
    "django.db.models",
    "django.forms",
    "django.template.loader",
    "django_meetergo.sandbox.app",
    "icalendar",
    "requests",
)


def run(name: str, log: Path) -> int | None:
    """Return the exit code; ``log`` contains what the journey said."""
    context = get_context("forkserver")
    context.set_forkserver_preload(list(PRELOADED))
    process = context.Process(target=travel, args=(name, str(log)))
    process.start()
    process.join(120)
    process.kill()
    return process.exitcode


def travel(name: str, log: str) -> None:
    with Path(log).open("w") as output:
        sys.stdout = sys.stderr = output
        try:
            go(name)
        except Exception:
            traceback.print_exc()
            raise


def go(name: str) -> None:
    """Set up the site in this process and make the journey."""
    import django

    warnings.simplefilter("error", DeprecationWarning)
    os.environ["DJANGO_SETTINGS_MODULE"] = f"tests.hosts.sites.{name}"
    django.setup()
    from tests.hosts.journey import main

    main()


if __name__ == "__main__":
    go(sys.argv[1])
