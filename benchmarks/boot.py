"""P28: what the app adds to ``django.setup()``, in separate processes, and which modules it must not load."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence

MOST_MS, MOST_MIB = 30, 4
HEAVY = ("celery", "requests", "rest_framework")

PROGRAM = f"""
import json, sys, time
from django.conf import settings
settings.configure(
    SECRET_KEY="x",
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", *sys.argv[1:]],
    MEETERGO={{"API_KEY": "rgo-x"}},
)
import django
started = time.process_time()
django.setup()
took = time.process_time() - started
# The peak of getrusage includes that of the parent process.
peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps([took * 1e3, peak / 1024, [name for name in {HEAVY!r} if name in sys.modules]]))
"""


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks boot")
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args(arguments).rounds
    boot("django_meetergo")  # compiles every file
    pairs = [(boot(), boot("django_meetergo")) for _ in range(rounds)]
    loaded = sorted({name for _, ours in pairs for name in ours[2]})
    verdicts = [
        report_line("CPU", "ms", [ours[0] - floor[0] for floor, ours in pairs], MOST_MS),
        report_line("memory", "MiB", [ours[1] - floor[1] for floor, ours in pairs], MOST_MIB),
    ]
    sys.stdout.write(f"P28 loaded too early: {', '.join(loaded) or 'nothing of ' + ', '.join(HEAVY)}\n")
    return 0 if all(verdicts) and not loaded else 1


def boot(*apps: str) -> tuple[float, float, list[str]]:
    """Return CPU in ms, peak memory in MiB, and the heavy modules that were loaded."""
    # Bytecode is written, as on a server, so that files are compiled once.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *apps], capture_output=True, text=True, check=True, env=environment
    )
    took, peak, loaded = json.loads(done.stdout)
    return took, peak, loaded


def report_line(what: str, unit: str, added: list[float], most: float) -> bool:
    """Write one line; return whether the goal is met."""
    middle = statistics.median(added)
    verdict = "ok" if middle <= most else "MISSED"
    sys.stdout.write(
        f"P28 added to django.setup(), {what:<6} {middle:+6.1f} {unit} "
        f"({min(added):+.1f} to {max(added):+.1f})  goal <= +{most}  {verdict}\n"
    )
    return middle <= most
