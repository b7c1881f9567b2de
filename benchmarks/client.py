"""P15: one read by the client on a kept-alive connection, compared with a bare ``requests.Session``.

Both fetch and parse the same document of a sandbox in another process. The client adds the total deadline,
the size cap, the classification of errors and the dataclass.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

import requests

from benchmarks.figures import Goal, report
from django_meetergo.remote.client import MeetergoClient
from django_meetergo.remote.credential import Credential
from django_meetergo.remote.pools import close_connections
from django_meetergo.remote.transport import Transport
from django_meetergo.sandbox.seed import ADMIN_TOKEN

SANDBOX = (sys.executable, "-m", "django_meetergo.sandbox", "--port", "0", "--no-rate-limit")
MOST = 1.2


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks client")
    parser.add_argument("--calls", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=7)
    chosen = parser.parse_args(arguments)
    with subprocess.Popen(SANDBOX, stdout=subprocess.PIPE, text=True) as sandbox:
        try:
            assert sandbox.stdout is not None
            url = sandbox.stdout.readline().split()[1]
            sys.stdout.write(
                f"requests {requests.__version__}, {chosen.rounds} rounds of {chosen.calls} calls\n"
            )
            return report(list(compare(url, chosen.calls, chosen.rounds)))
        finally:
            sandbox.terminate()
            close_connections()


def compare(url: str, calls: int, rounds: int) -> list[Goal]:
    """Measure both in turn: wall time and processor time of a call in microseconds."""
    transport = Transport(credential=Credential(ADMIN_TOKEN), base_url=url)
    client, session = MeetergoClient(transport), requests.Session()
    session.headers["Authorization"] = f"Bearer {ADMIN_TOKEN}"

    def fetch() -> None:
        response = session.get(f"{url}/v4/user/me", timeout=12)
        response.raise_for_status()
        response.json()

    ours, floor = [], []
    for do in (client.get_current_user, fetch):
        measure(do, 10)  # connects and loads the modules
    for _ in range(rounds):
        floor.append(measure(fetch, calls))
        ours.append(measure(client.get_current_user, calls))
    names = ("P15 client call, kept alive", "P15 the same, processor time")
    return [
        Goal(name, "us", [one[index] for one in ours], [one[index] for one in floor], MOST)
        for index, name in enumerate(names)
    ]


def measure(do: Callable[[], object], calls: int) -> tuple[float, float]:
    """Return wall time and processor time of a call in microseconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(calls):
        do()
    return (time.perf_counter() - wall) / calls * 1e6, (time.process_time() - cpu) / calls * 1e6
