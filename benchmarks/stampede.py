"""P14: fifty askers of one document that is not cached, in two processes, cost one request.

The run is ``python -m tests.harness stampede``; its site, processes and cache (Redis) are the same.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from benchmarks.figures import Exactly, report
from tests.harness import stampede, workers


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks stampede")
    parser.add_argument("--readers", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args(arguments)
    with workers.own_database():
        runs = [stampede.run(readers=chosen.readers, processes=2) for _ in range(chosen.rounds)]
    sys.stdout.write(f"postgresql and redis, {chosen.readers} readers, 2 processes, {len(runs)} rounds\n")
    return report([Exactly("P14 requests", [run["calls"] for run in runs], 1)])
