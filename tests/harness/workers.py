"""Several Django processes of one site that share database, cache and sandbox."""

from __future__ import annotations

import os
import pickle
import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from typing import Any
from unittest import mock
from uuid import uuid4

from tests.harness.patches import replace_part

REDIS = os.environ.get("HARNESS_REDIS_URL", "redis://127.0.0.1:6379/5")
BOOT_TIMEOUT = 120  # seconds until every process must be ready
CONNECTIONS = 16  # to the database, of one process
#: The cache is healthy here, however slowly a busy machine answers.
HEALTHY_CACHE = {"SLOW_SECONDS": 60.0}

gate: Any = None
stop: Any = None


@dataclass(frozen=True, kw_only=True)
class Site:
    """The settings of all processes, and the values that replace those at dotted paths."""

    settings: Mapping[str, Any]
    patches: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Processes:
    """Running processes that wait for ``begin``."""

    pool: ProcessPoolExecutor
    gate: Any
    stop: Any

    def send(self, do: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Call a function in one process, as soon as all of them are ready."""
        return self.pool.submit(run_at_start, do, arguments)

    def begin(self) -> None:
        self.gate.wait(BOOT_TIMEOUT)


@contextmanager
def hire(site: Site, number: int) -> Iterator[Processes]:
    """Run ``number`` processes until the block ends. Yield them."""
    context = get_context("spawn")
    gate, stop = context.Barrier(number + 1), context.Event()
    with ProcessPoolExecutor(
        # Patches are pickled twice, since they may be imported only once Django is set up.
        number,
        mp_context=context,
        initializer=set_up_process,
        initargs=(dict(site.settings), pickle.dumps(site.patches), gate, stop),
    ) as pool:
        try:
            yield Processes(pool=pool, gate=gate, stop=stop)
        finally:
            stop.set()
            gate.abort()


def set_up_process(settings: dict[str, Any], patches: bytes, shared_gate: Any, shared_stop: Any) -> None:
    """Set up Django in a new process."""
    global gate, stop
    gate, stop = shared_gate, shared_stop
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    import django
    from django.conf import settings as django_settings

    for name, value in settings.items():
        setattr(django_settings, name, value)
    django.setup()
    for path, value in pickle.loads(patches).items():
        replace_part(path, value)


def run_at_start(do: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    from django.db import connections

    gate.wait(BOOT_TIMEOUT)
    try:
        return do(*arguments)
    finally:
        connections.close_all()


def work(pause: float, periodic: bool = True) -> None:
    """Run what is due, with pauses in seconds, until ``stop`` is set."""
    from django.utils import timezone

    from django_meetergo.services.scheduler import run_due

    while not stop.wait(pause):
        run_due(timezone.now(), periodic=periodic)


def make_site(url: str, caches: Mapping[str, Any], patches: Mapping[str, Any], **meetergo: Any) -> Site:
    """Return the tests' site with this database and cache and the sandbox at ``url``."""
    from django.conf import settings

    from django_meetergo.sandbox import seed

    return Site(
        settings={
            "DATABASES": database_settings(),
            "CACHES": caches,
            "MEETERGO": {
                **settings.MEETERGO,
                "BASE_URL": url,
                "API_KEY": seed.ADMIN_TOKEN,
                **meetergo,
            },
        },
        patches={
            **{f"django_meetergo.cache.{name}": value for name, value in HEALTHY_CACHE.items()},
            **patches,
        },
    )


def take_freely(*_: Any) -> None:
    """Replace ``RateLimiter.acquire``: every request gets a permit."""


def wait_until(condition: Any, seconds: float) -> float | None:
    """Wait until a condition holds; return the time, or None after ``seconds``."""
    ends = time.time() + seconds
    while time.time() < ends:
        if condition():
            return time.time()
        time.sleep(0.05)
    return None


# Database, cache and directory


def read_directory(url: str) -> None:
    """Sync the directory with another key, which has a rate limit of its own."""
    from django.utils import timezone

    from django_meetergo.sandbox import seed
    from django_meetergo.services.sync import directory

    with use_service(url, API_KEY=seed.PLATFORM_KEY, USER_ID=seed.OWNER) as client:
        directory.sync_directory(connection="default", client=client, now=timezone.now())


def read_appointments(url: str) -> None:
    """Run a full sync of the appointments with the site's key."""
    from django.utils import timezone

    from django_meetergo.models import SyncRun
    from django_meetergo.sandbox import seed
    from django_meetergo.services.sync.appointments import sync_appointments

    with use_service(url, API_KEY=seed.ADMIN_TOKEN) as client:
        sync_appointments(connection="default", client=client, now=timezone.now(), kind=SyncRun.Kind.FULL)


@contextmanager
def use_service(url: str, **meetergo: str) -> Iterator[Any]:
    """Yield a client of the service at ``url`` for this process, with other settings than the tests'."""
    from django.conf import settings
    from django.test import override_settings

    from django_meetergo.services.clients import build_client

    with override_settings(MEETERGO={**settings.MEETERGO, "BASE_URL": url, **meetergo}):
        yield build_client("default", "sync")


@contextmanager
def own_database() -> Iterator[None]:
    """Create an empty PostgreSQL database for a run from the command line."""
    from django.db import connection
    from django.test.utils import setup_databases, teardown_databases

    if connection.vendor != "postgresql":
        raise SystemExit(
            "Set DATABASE_URL to a PostgreSQL database, such as postgres://postgres@127.0.0.1/harness."
        )
    databases = setup_databases(verbosity=0, interactive=False)
    try:
        yield
    finally:
        teardown_databases(databases, verbosity=0)


def run_from_command_line(
    run: Callable[..., dict[str, Any]],
    parser: ArgumentParser,
    arguments: Sequence[str],
    sabotages: Mapping[str, Any],
) -> dict[str, Any]:
    """Run once with the options of the command line on a new database; return the figures."""
    parser.add_argument("--sabotage", choices=sorted(sabotages))
    chosen = parser.parse_args(arguments)
    with own_database():
        return run(**vars(chosen))


@contextmanager
def shared_cache(kind: str = "redis") -> Iterator[dict[str, Any]]:
    """Yield ``CACHES`` for all processes, this one included, and remove the cache's entries afterwards."""
    with (
        make_cache(kind) as caches,
        mock.patch.multiple("django_meetergo.cache", **HEALTHY_CACHE),
        # A test before this one may have let this process forget entries: its keys are others since.
        mock.patch("django_meetergo.cache.cache._prefix", ""),
    ):
        yield caches


@contextmanager
def make_cache(kind: str) -> Iterator[dict[str, Any]]:
    from django.core.cache.backends.redis import RedisCache
    from django.core.management import call_command
    from django.db import connection
    from django.test import override_settings

    name = f"harness_{uuid4().hex[:8]}"
    if kind == "database":
        backend = "django.core.cache.backends.db.DatabaseCache"
        caches = {"default": {"BACKEND": backend, "LOCATION": name, "OPTIONS": {"MAX_ENTRIES": 100_000}}}
        with override_settings(CACHES=caches):
            call_command("createcachetable", verbosity=0)
        try:
            yield caches
        finally:
            with connection.cursor() as cursor:
                cursor.execute(f"DROP TABLE {name}")
        return
    try:
        yield {
            "default": {
                "BACKEND": "django.core.cache.backends.redis.RedisCache",
                "LOCATION": REDIS,
                "KEY_PREFIX": name,
            }
        }
    finally:
        server = RedisCache(REDIS, {})._cache.get_client(write=True)
        for key in server.scan_iter(f"{name}:*"):
            server.delete(key)


def database_settings() -> dict[str, Any]:
    """Return ``DATABASES`` with the name of the database in use."""
    from django.db import connection

    known = connection.settings_dict
    plain = {name: known[name] for name in ("ENGINE", "NAME", "USER", "PASSWORD", "HOST", "PORT")}
    return {"default": {**plain, "CONN_MAX_AGE": None}}


def pool_connections(site: Site) -> Site:
    """Let a process take a few connections however many threads it runs: the server has a hundred.

    Not for what fails with its database: a pool waits for half a minute.
    """
    pool = {"min_size": CONNECTIONS, "max_size": CONNECTIONS}
    database = {**database_settings()["default"], "CONN_MAX_AGE": 0, "OPTIONS": {"pool": pool}}
    return replace(site, settings={**site.settings, "DATABASES": {"default": database}})
