"""``python -m benchmarks NAME``: run one benchmark. The exit status is 1 if a goal is missed.

``all`` runs every one with its usual options, each in a process of its own, and prints the whole table.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from importlib import import_module

#: Every benchmark with the options of ``all``. Most need PostgreSQL (``DATABASE_URL``), one Redis, too.
RUNS = (
    "boot",
    "client",
    "requests",
    "booking",
    "conflict",
    "stampede",
    "page",
    "page --cold",
    "page --bytes",
    "sync",
    "webhook",
    "api",
    "admin",
    "admin --search",
    "admin --calendar",
    "freshness",
)
NAMES = sorted({run.split()[0] for run in RUNS})


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", choices=[*NAMES, "all"])
    chosen, rest = parser.parse_known_args()
    if chosen.name == "all":
        return run_all()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.settings")
    import django

    django.setup()
    return import_module(f"benchmarks.{chosen.name}").main(rest)


def run_all() -> int:
    missed = []
    for run in RUNS:
        sys.stdout.write(f"\n# {run}\n")
        sys.stdout.flush()
        if subprocess.run([sys.executable, "-m", "benchmarks", *run.split()]).returncode:
            missed.append(run)
    sys.stdout.write(f"\nmissed: {', '.join(missed) or 'none'}\n")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
