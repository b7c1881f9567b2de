"""P6 and P7: the time that two servers need for a new and for a repeated webhook delivery.

Two gunicorn workers on PostgreSQL with persistent connections, two processes that deliver. The floor is the
least work that stores a delivery: a WSGI callable that parses the body and inserts one row by the database
driver.
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from benchmarks.database import empty_database
from benchmarks.figures import Goal, report

TOKEN = "a-token-that-only-the-tests-know-about"
PATH = f"/book/webhooks/{TOKEN}/"
WORKERS = 2
NEW, REPEATED = 1 / 0.55, 1 / 0.35


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks webhook")
    parser.add_argument("--events", type=int, default=2000, help="in each round, for each server")
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args(arguments)
    from django.db import connection

    if connection.vendor != "postgresql":
        parser.error("this measures PostgreSQL: set DATABASE_URL to one")
    with empty_database():
        with connection.cursor() as cursor:
            cursor.execute("SHOW fsync")
            fsync = cursor.fetchone()[0]
        sys.stdout.write(f"postgresql, fsync {fsync}, gunicorn {version('gunicorn')}, {WORKERS} workers\n")
        url = name_database(connection.settings_dict)
        with serve("floor", url) as floor, serve("make_ours()", url) as ours:
            return report(compare(ours, floor, chosen.events, chosen.rounds))


def name_database(settings: dict[str, Any]) -> str:
    host, port = settings["HOST"] or "127.0.0.1", settings["PORT"] or 5432
    secret = f":{settings['PASSWORD']}" if settings["PASSWORD"] else ""
    return f"postgres://{settings['USER']}{secret}@{host}:{port}/{settings['NAME']}"


@contextmanager
def serve(app: str, database: str) -> Iterator[int]:
    """Run a server on a free port. Yield the port."""
    command = [
        *(sys.executable, "-m", "gunicorn", "--workers", str(WORKERS), "--bind", "127.0.0.1:0"),
        *("--log-level", "info", f"benchmarks.webhook:{app}"),
    ]
    environment = {**os.environ, "DATABASE_URL": f"{database}?CONN_MAX_AGE=600"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as server:
        try:
            assert server.stderr is not None
            line = next(line for line in server.stderr if "Listening at" in line)
            yield urlsplit(line.split("Listening at: ")[1].split()[0]).port or 0
        finally:
            server.terminate()


def compare(ours: int, floor: int, events: int, rounds: int) -> list[Goal]:
    found: dict[str, list[float]] = {name: [] for name in ("new", "repeated", "floor new", "floor repeated")}
    with ProcessPoolExecutor(WORKERS) as pool:
        deliver(pool, ours, make_bodies(100))
        deliver(pool, floor, make_bodies(100))
        for _ in range(rounds):
            for name, port in (("floor ", floor), ("", ours)):
                bodies = make_bodies(events)
                found[f"{name}new"].append(deliver(pool, port, bodies))
                found[f"{name}repeated"].append(deliver(pool, port, bodies))
    return [
        Goal("P6 a new webhook", "us", found["new"], found["floor new"], NEW),
        Goal("P7 a repeated webhook", "us", found["repeated"], found["floor repeated"], REPEATED),
    ]


def make_bodies(number: int) -> list[bytes]:
    return [
        json.dumps({"webhookType": "booking_created", "id": str(uuid4())}).encode() for _ in range(number)
    ]


def deliver(pool: ProcessPoolExecutor, port: int, bodies: list[bytes]) -> float:
    """Return microseconds per delivery."""
    shares = [bodies[share::WORKERS] for share in range(WORKERS)]
    started = time.perf_counter()
    list(pool.map(send, [port] * WORKERS, shares))
    return (time.perf_counter() - started) / len(bodies) * 1e6


def send(port: int, bodies: list[bytes]) -> None:
    """Send deliveries one by one; gunicorn's sync workers close each connection after the response."""
    for body in bodies:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("POST", PATH, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        response.read()
        connection.close()
        assert response.status == 200, response.status


# The servers


def make_ours() -> Callable[..., Any]:
    from django.core.wsgi import get_wsgi_application

    return get_wsgi_application()


_database: list[Any] = []

INSERT = """
INSERT INTO meetergo_webhookdelivery
    (connection, digest, event_type, remote_id, state, receive_count, received_at, next_at, message, tries)
VALUES ('default', %s, %s, %s, 'pending', 1, %s, %s, '', 0)
ON CONFLICT (connection, digest) DO UPDATE SET receive_count = meetergo_webhookdelivery.receive_count + 1
"""


def floor(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    import psycopg

    if not _database:
        url = os.environ["DATABASE_URL"].partition("?")[0]
        _database.append(psycopg.connect(url, autocommit=True))
    body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
    content, now = json.loads(body), datetime.now(UTC)
    digest = hashlib.sha256(body).hexdigest()
    _database[0].execute(INSERT, [digest, content["webhookType"], content["id"], now, now])
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", "2")])
    return [b"{}"]
