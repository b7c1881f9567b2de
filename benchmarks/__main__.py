"""``python -m benchmarks NAME``: run one benchmark. The exit status is 1 if a goal is missed."""

from __future__ import annotations

import argparse
import os
import sys
from importlib import import_module

NAMES = ("admin", "api", "boot", "client", "freshness", "page", "sync", "webhook")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", choices=NAMES)
    chosen, rest = parser.parse_known_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.settings")
    import django

    django.setup()
    return import_module(f"benchmarks.{chosen.name}").main(rest)


if __name__ == "__main__":
    sys.exit(main())
