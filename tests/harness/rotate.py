"""A rotation of encryption keys that is killed repeatedly.

``meetergo_rotate_keys`` runs over many secrets in a process of its own and is killed with SIGKILL at random
rows. At the end every secret must decrypt with the new key alone to its former text, and rows that were
rotated before a kill may not be written again.
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

from cryptography.fernet import Fernet, InvalidToken

from tests.harness.sync import DJANGO, call

FILL = "import django; django.setup(); from tests.harness.rotate import fill; fill(%d)"
SECRETS = "SELECT id, secret FROM meetergo_appointment WHERE secret != '' ORDER BY id"
ONE = "SELECT secret FROM meetergo_appointment WHERE id = ?"


def main(arguments: Sequence[str]) -> dict[str, Any]:
    parser = argparse.ArgumentParser(prog="python -m tests.harness rotate")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        return run(chosen.rows, chosen.kills, chosen.seed, Path(folder))


def run(rows: int, kills: int, seed: int, folder: Path) -> dict[str, Any]:
    """Run once on a SQLite file in ``folder``; return the figures."""
    database, old, new = folder / "secrets.sqlite3", make_key(), make_key()
    before_env, env = make_env(database, old), make_env(database, new, old)
    call(before_env, "migrate", "-v0")
    subprocess.run([sys.executable, "-c", FILL % rows], env=before_env, check=True)
    original = read_secrets(database)
    started = time.monotonic()
    done = kill_often(env, database, original, kills, random.Random(seed))
    left = read_secrets(database)
    last = rotate(env)
    seconds = time.monotonic() - started
    rotated = read_secrets(database)
    again = rotate(env)
    twice = [key for key in left if left[key] != original[key] and left[key] != rotated[key]]
    violations = [
        *list_misread(rotated, new, rows)[:10],
        *(f"{key} was written twice" for key in twice[:10]),
        *([f"the last run rotated {again} once more"] if again else []),
        *([f"only {done} of {kills} kills hit a running process"] if done < kills else []),
    ]
    return {
        "part": "rotate",
        "rows": rows,
        "kills": done,
        "seed": seed,
        "seconds": round(seconds, 1),
        "rotated_at_last": last,
        "rotated_again": again,
        "violations": violations,
    }


def make_key() -> str:
    return Fernet.generate_key().decode()


def make_env(database: Path, *keys: str) -> dict[str, str]:
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "DATABASE_URL": f"sqlite:///{database}",
        "MEETERGO_ENCRYPTION_KEYS": ",".join(keys),
    }


def fill(rows: int) -> None:
    """Create appointments with numbered secrets, in a process with Django set up."""
    from datetime import UTC, datetime

    from django_meetergo.models import Appointment

    now = datetime.now(UTC)
    Appointment.objects.bulk_create(
        (
            Appointment(remote_id=f"a{number}", start=now, end=now, secret=f"secret {number}")
            for number in range(rows)
        ),
        batch_size=1000,
    )


def rotate(env: dict[str, str]) -> int:
    """Run the command without a kill; return how many secrets it rotated."""
    found = re.search(r"(\d+) secrets re-encrypted", call(env, "meetergo_rotate_keys"))
    return int(found[1]) if found else -1


def kill_often(
    env: dict[str, str], database: Path, original: dict[int, str], kills: int, chance: random.Random
) -> int:
    """Repeatedly start the command and kill it at a random row; return how often it was running."""
    done, keys = 0, sorted(original)
    span = len(keys) // (kills + 1)
    for kill in range(kills):
        target = keys[chance.randrange(kill * span, (kill + 1) * span)]
        process = subprocess.Popen([*DJANGO, "meetergo_rotate_keys", "-v0"], env=env)
        while process.poll() is None and read_secret(database, target) == original[target]:
            time.sleep(0.01)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            done += 1
        process.wait()
    return done


def list_misread(stored: dict[int, str], key: str, rows: int) -> list[str]:
    """Return a sentence for each secret that does not decrypt to its text with the new key alone."""
    fernet, wrong = Fernet(key), []
    for number, (row, token) in enumerate(sorted(stored.items())):
        try:
            if fernet.decrypt(token.encode()).decode() != f"secret {number}":
                wrong.append(f"{row} has another text")
        except InvalidToken:
            wrong.append(f"{row} does not decrypt with the new key")
    return wrong if len(stored) == rows else [f"{len(stored)} secrets of {rows} are left", *wrong]


def read_secrets(database: Path) -> dict[int, str]:
    with closing(sqlite3.connect(database, timeout=20)) as connection:
        return dict(connection.execute(SECRETS))


def read_secret(database: Path, row: int) -> str:
    with closing(sqlite3.connect(database, timeout=20)) as connection:
        return str(connection.execute(ONE, [row]).fetchone()[0])
