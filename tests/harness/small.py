"""Small runs of the parts that deploy a site or attack one, within five minutes on two cores.

Each prints its own line. Figures that depend on the machine are those of the full runs.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from tests.harness import workers

RUNS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("canary", {}),
    ("storm", {"bookings": 40, "variation": "skewed"}),
    ("fuzz", {"inputs": 600}),
    ("kill9", {"times": 1, "points": 3, "broker": "rabbitmq"}),
    ("soak", {"minutes": 0.7, "broker": "rabbitmq"}),
    ("chaos", {"bookings": 8, "restarts": 5}),
)


def main(arguments: Sequence[str]) -> dict[str, Any]:
    parser = argparse.ArgumentParser(prog="python -m tests.harness small")
    parser.add_argument("--seed", type=int, default=1)
    seed = parser.parse_args(arguments).seed
    started = time.monotonic()
    violations = []
    for name, options in RUNS:
        with workers.own_database():
            figures = import_module(f"tests.harness.{name}").run(**options, seed=seed)
        sys.stdout.write(json.dumps(figures) + "\n")
        sys.stdout.flush()
        violations += [f"{name}: {text}" for text in figures["violations"]]
    return {
        "part": "small",
        "seed": seed,
        "seconds": round(time.monotonic() - started),
        "violations": violations,
    }
