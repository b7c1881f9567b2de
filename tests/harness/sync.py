"""A full sync that is killed repeatedly.

``meetergo_sync --kind full`` reads many appointments in a process of its own and is killed with SIGKILL at
random moments. At the end no appointment may be missing, and another run may write nothing.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from django_meetergo.sandbox import server
from django_meetergo.sandbox.app import Sandbox
from django_meetergo.sandbox.scenarios import add_appointments

DJANGO = (sys.executable, "-m", "django")


def main(arguments: Sequence[str]) -> dict[str, Any]:
    parser = argparse.ArgumentParser(prog="python -m tests.harness sync")
    parser.add_argument("--appointments", type=int, default=50_000)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        return run(chosen.appointments, chosen.kills, chosen.seed, Path(folder))


def run(appointments: int, kills: int, seed: int, folder: Path) -> dict[str, Any]:
    """Run once on a SQLite file in ``folder``; return the figures."""
    sandbox = Sandbox(rate_limit=False)
    add_appointments(sandbox.state, appointments)
    database = folder / "mirror.sqlite3"
    with server.start(sandbox) as running:
        env = make_env(running.url, database)
        call(env, "migrate", "-v0")
        started = time.monotonic()
        done = kill_often(env, database, kills, random.Random(seed))
        last = sync(env, database)
        seconds = time.monotonic() - started
        again = sync(env, database)
    remote = set(sandbox.state.appointments)
    mirrored = read_ids(database)
    violations = [
        *(f"missing {remote_id}" for remote_id in sorted(remote - mirrored)[:10]),
        *(f"invented {remote_id}" for remote_id in sorted(mirrored - remote)[:10]),
        *([f"the second run wrote {again['written']} rows"] if again["written"] else []),
    ]
    return {
        "part": "sync",
        "appointments": len(remote),
        "kills": done,
        "seed": seed,
        "seconds": round(seconds, 1),
        "read_at_last": last["read"],
        "written_again": again["written"],
        "violations": violations,
    }


def make_env(url: str, database: Path) -> dict[str, str]:
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "DATABASE_URL": f"sqlite:///{database}",
        "MEETERGO_BASE_URL": url,
        "MEETERGO_REQUESTS_PER_MINUTE": "3000",
    }


def call(env: dict[str, str], *arguments: str) -> str:
    done = subprocess.run([*DJANGO, *arguments], env=env, check=True, capture_output=True, text=True)
    return done.stdout


def sync(env: dict[str, str], database: Path) -> dict[str, int]:
    """Run the command without a kill; return how many rows it read and wrote."""
    end_leases(database)
    out = call(env, "meetergo_sync", "--kind", "full")
    read, written = re.search(r"(\d+) appointments read, (\d+) written", out).groups()
    return {"read": int(read), "written": int(written)}


def kill_often(env: dict[str, str], database: Path, kills: int, chance: random.Random) -> int:
    """Repeatedly start the command and kill it; return how often it was running."""
    done = 0
    for _ in range(kills):
        end_leases(database)
        before = len(read_ids(database))
        process = subprocess.Popen([*DJANGO, "meetergo_sync", "--kind", "full", "-v0"], env=env)
        wait_for_progress(process, database, before)
        time.sleep(chance.uniform(0, 0.5))
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            done += 1
        process.wait()
    return done


def wait_for_progress(process: subprocess.Popen[bytes], database: Path, before: int) -> None:
    """Wait until the process writes rows or ends."""
    while process.poll() is None and len(read_ids(database)) == before:
        time.sleep(0.05)


def end_leases(database: Path) -> None:
    """Let a killed run be resumed at once.

    A short lease would do that too, but shortens the timeout of each request with it, and a busy machine then
    answers too late.
    """
    with closing(sqlite3.connect(database, timeout=20)) as connection:
        connection.execute("UPDATE meetergo_syncrun SET lease_until = '2000-01-01 00:00:00'")
        connection.commit()


def read_ids(database: Path) -> set[str]:
    with closing(sqlite3.connect(database, timeout=20)) as connection:
        return {row[0] for row in connection.execute("SELECT remote_id FROM meetergo_appointment")}
