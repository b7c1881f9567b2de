"""``python -m tests.harness PART``: run one load test and print its figures as JSON."""

from __future__ import annotations

import argparse
import json
import os
import sys
from importlib import import_module

PARTS = (
    "canary", "chaos", "fuzz", "kill9", "outage", "rate_limit", "rebook", "rotate", "small", "soak",
    "stampede", "storm", "sync", "webhooks",
)  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.harness", description=__doc__)
    parser.add_argument("part", choices=PARTS)
    chosen, rest = parser.parse_known_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    import django

    django.setup()
    figures = import_module(f"tests.harness.{chosen.part}").main(rest)
    sys.stdout.write(json.dumps(figures) + "\n")
    return 1 if figures["violations"] else 0


if __name__ == "__main__":
    sys.exit(main())
