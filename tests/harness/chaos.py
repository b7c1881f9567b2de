"""Cache, broker and database of a deployed site fail in turn while people book.

Nothing may be lost or booked twice, no page may take longer than its deadline, and the only server error
that a visitor sees is the page that says the database is away.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from redis import Redis

from django_meetergo.sandbox.app import Sandbox
from tests.harness import judge, storm, workers
from tests.harness.deployment import Deployment, deploy, run_sql
from tests.harness.visitor import Visit

PAGE_SECONDS = 15.0
FAILING_SECONDS = 4.0

Failure = Callable[[Deployment], Any]


def main(arguments: Sequence[str]) -> dict[str, Any]:
    parser = argparse.ArgumentParser(prog="python -m tests.harness chaos")
    parser.add_argument("--bookings", type=int, default=60, help="bookings for each failure")
    parser.add_argument("--restarts", type=int, default=20, help="how often the database is restarted")
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    return workers.run_from_command_line(run, parser, arguments, SABOTAGES)


def run(
    *, bookings: int, restarts: int = 20, clients: int = 4, seed: int = 1, sabotage: str | None = None
) -> dict[str, Any]:
    """Return the figures of one run on an empty database."""
    sandbox = storm.build_sandbox("plain")
    visits: dict[str, list[Visit]] = {}
    patches = SABOTAGES[sabotage] if sabotage else {}
    with deploy(sandbox=sandbox, seed=seed, patches=patches, **storm.SETTINGS) as site:
        for name, failure in FAILURES.items():
            with keep_failing(site, failure, restarts if name == "database-restarts" else 1):
                visits[name] = storm.send_visitors(
                    site.url,
                    bookings,
                    clients,
                    f"{seed}{name}",
                    pause=1.5 * FAILING_SECONDS * clients / bookings,
                )
        ended = time.time()
        quiet_after = workers.wait_until(judge.is_quiet, storm.QUIET_SECONDS)
        every = [visit for those in visits.values() for visit in those]
        storm.reload_pages(site.url, every, clients)
        return {
            "part": "chaos",
            "seed": seed,
            "sabotage": sabotage,
            "bookings": len(every),
            "states": judge.describe_bookings(),
            "restarts": dict(site.restarts),
            "quiet_after_seconds": round(quiet_after - ended, 1) if quiet_after else None,
            "slowest_page_seconds": {
                name: round(max(visit.slowest for visit in those), 1) for name, those in visits.items()
            },
            "violations": list(list_violations(sandbox, visits, is_quiet=quiet_after is not None)),
        }


def list_violations(sandbox: Sandbox, visits: Mapping[str, list[Visit]], *, is_quiet: bool) -> Iterator[str]:
    for kind, texts in judge.find_violations(sandbox).items():
        yield from (f"{kind}: {text}" for text in texts[:10])
    for name, those in visits.items():
        yield from (f"{name}: untrue page: {text}" for text in judge.list_untrue_pages(sandbox, those)[:5])
        slow = max(visit.slowest for visit in those)
        if slow > PAGE_SECONDS:
            yield f"{name}: a page took {slow:.1f} s"
        allowed = {503} if name.startswith("database") else set()
        errors = {
            page for visit in those for page in visit.pages if page[1] >= 500 and page[1] not in allowed
        }
        yield from (f"{name}: {status} at {path}" for path, status in sorted(errors)[:5])
        if not name.startswith("database") and not any(visit.screen for visit in those):
            yield f"{name}: nobody reached an outcome page"
    if not is_quiet:
        yield "not quiet in time"


@contextmanager
def keep_failing(site: Deployment, failure: Failure, times: int) -> Iterator[None]:
    """Cause a failure again and again in a thread while the block runs, and end it afterwards."""
    over = threading.Event()

    def fail() -> None:
        for _ in range(times):
            end = failure(site)
            over.wait(FAILING_SECONDS / times if times > 1 else FAILING_SECONDS)
            if end is not None:
                end()
            if over.wait(0.2):
                return

    thread = threading.Thread(target=fail, name="chaos", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(60)


# What can fail; each returns what ends it


def kill_cache(site: Deployment) -> Callable[[], None]:
    site.cache.take_down()
    return site.cache.bring_up


def silence_cache(site: Deployment) -> Callable[[], None]:
    site.cache.silence()
    return site.cache.bring_up


def flush_cache(site: Deployment) -> None:
    Redis(*site.cache_server).flushdb()


def fill_cache(site: Deployment) -> Callable[[], object]:
    return fill(site.cache_server)


def kill_broker(site: Deployment) -> Callable[[], None]:
    site.broker.take_down()
    return site.broker.bring_up


def silence_broker(site: Deployment) -> Callable[[], None]:
    site.broker.silence()
    return site.broker.bring_up


def flush_broker(site: Deployment) -> None:
    Redis(*site.broker_server).flushall()


def fill_broker(site: Deployment) -> Callable[[], object]:
    """Celery's worker ends when its Redis has no memory left; the process manager starts it again."""
    return fill(site.broker_server)


def fill(server: tuple[str, int]) -> Callable[[], object]:
    """Make a Redis refuse every write."""
    redis = Redis(*server)
    redis.config_set("maxmemory", "1")
    return lambda: redis.config_set("maxmemory", "0")


def restart_database(site: Deployment) -> None:
    site.database.cut_all()


def stop_database(site: Deployment) -> Callable[[], None]:
    site.database.take_down()
    return site.database.bring_up


def lock_database(site: Deployment) -> Callable[[], None]:
    """Make every new session of the site read-only."""
    set_read_only(site, "on")
    site.database.cut_all()

    def unlock() -> None:
        set_read_only(site, "off")
        site.database.cut_all()

    return unlock


def set_read_only(site: Deployment, value: str) -> None:
    run_sql(f"ALTER ROLE {site.database_role} SET default_transaction_read_only = {value}")


def use_up_connections(site: Deployment) -> Callable[[], None]:
    """Refuse every new session of the site, as a server with too many of them does."""
    run_sql(f"ALTER ROLE {site.database_role} CONNECTION LIMIT 0")
    site.database.cut_all()
    return lambda: run_sql(f"ALTER ROLE {site.database_role} CONNECTION LIMIT -1")


FAILURES: dict[str, Failure] = {
    "cache-killed": kill_cache,
    "cache-silent": silence_cache,
    "cache-flushed": flush_cache,
    "cache-full": fill_cache,
    "broker-killed": kill_broker,
    "broker-silent": silence_broker,
    "broker-flushed": flush_broker,
    "broker-full": fill_broker,
    "database-restarts": restart_database,
    "database-stopped": stop_database,
    "database-read-only": lock_database,
    "database-out-of-connections": use_up_connections,
}

SABOTAGES: dict[str, dict[str, str]] = {
    "cache-decides": {
        "django_meetergo.services.clients.RateLimiter": "tests.harness.storm_sabotage.FragileRateLimiter"
    },
}
