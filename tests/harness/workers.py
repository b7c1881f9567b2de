"""Several processes of one site, each a Django of its own on the same database, cache and sandbox."""

from __future__ import annotations

import os
import pickle
import pkgutil
import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from typing import Any
from uuid import uuid4

REDIS = os.environ.get("HARNESS_REDIS_URL", "redis://127.0.0.1:6379/5")
BOOT = 120  # seconds until every process must stand at the gate

gate: Any = None
stop: Any = None


@dataclass(frozen=True, kw_only=True)
class Site:
    """What the processes have in common.

    ``patches`` maps dotted paths to what stands there in this trial: scaled times, recorders, a sabotage.
    """

    settings: Mapping[str, Any]
    patches: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Crew:
    pool: ProcessPoolExecutor
    gate: Any
    stop: Any

    def send(self, do: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Have one process do this, as soon as all of them are there."""
        return self.pool.submit(attend, do, arguments)

    def begin(self) -> None:
        self.gate.wait(BOOT)


@contextmanager
def hire(site: Site, number: int) -> Iterator[Crew]:
    """``number`` processes; at the end they are asked to stop and waited for."""
    context = get_context("spawn")
    gate, stop = context.Barrier(number + 1), context.Event()
    with ProcessPoolExecutor(
        # Pickled twice: what it names may only be imported once Django is there.
        number,
        mp_context=context,
        initializer=become,
        initargs=(dict(site.settings), pickle.dumps(site.patches), gate, stop),
    ) as pool:
        try:
            yield Crew(pool=pool, gate=gate, stop=stop)
        finally:
            stop.set()
            gate.abort()


def become(settings: dict[str, Any], patches: bytes, shared_gate: Any, shared_stop: Any) -> None:
    """Make this new process one of the site's."""
    global gate, stop
    gate, stop = shared_gate, shared_stop
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    import django
    from django.conf import settings as django_settings

    for name, value in settings.items():
        setattr(django_settings, name, value)
    django.setup()
    for path, value in pickle.loads(patches).items():
        owner, _, name = path.rpartition(".")
        setattr(pkgutil.resolve_name(owner), name, value)


def attend(do: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    from django.db import connections

    gate.wait(BOOT)
    try:
        return do(*arguments)
    finally:
        connections.close_all()


def work(nap: float, periodic: bool = True) -> None:
    """A worker: does what is due, over and over, until the trial ends."""
    from django.utils import timezone

    from django_meetergo.services.scheduler import run_due

    while not stop.wait(nap):
        run_due(timezone.now(), periodic=periodic)


def make_site(url: str, caches: Mapping[str, Any], patches: Mapping[str, Any], **meetergo: Any) -> Site:
    """The tests' site on our database, this cache and the sandbox at ``url``; other settings by name."""
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
        patches=patches,
    )


def take_freely(*_: Any) -> None:
    """A permit for everybody, in place of ``RateLimiter.acquire``."""


def wait_until(condition: Any, seconds: float) -> float | None:
    """When it came true."""
    ends = time.time() + seconds
    while time.time() < ends:
        if condition():
            return time.time()
        time.sleep(0.05)
    return None


# What a trial stands on


def read_directory(url: str) -> None:
    """What the site knows before a trial begins; by another key, so that it is on another bill."""
    from django.conf import settings
    from django.test import override_settings
    from django.utils import timezone

    from django_meetergo.sandbox import seed
    from django_meetergo.services.clients import build_client
    from django_meetergo.services.sync import directory

    given = {**settings.MEETERGO, "BASE_URL": url, "API_KEY": seed.PLATFORM_KEY, "USER_ID": seed.OWNER}
    with override_settings(MEETERGO=given):
        client = build_client("default", "sync")
        directory.sync_directory(connection="default", client=client, now=timezone.now())


@contextmanager
def own_database() -> Iterator[None]:
    """An empty database for a trial that is started by hand; it has to be PostgreSQL."""
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


def try_alone(
    run: Callable[..., dict[str, Any]],
    parser: ArgumentParser,
    arguments: Sequence[str],
    sabotages: Mapping[str, Any],
) -> dict[str, Any]:
    """The figures of one trial as the command line asks for it, on a database of its own."""
    parser.add_argument("--sabotage", choices=sorted(sabotages))
    chosen = parser.parse_args(arguments)
    with own_database():
        return run(**vars(chosen))


@contextmanager
def shared_cache(kind: str = "redis") -> Iterator[dict[str, Any]]:
    """``CACHES`` for all processes of one trial; nothing of it is left behind."""
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
    """``DATABASES`` with the name of the database that this process is really on."""
    from django.db import connection

    known = connection.settings_dict
    plain = {name: known[name] for name in ("ENGINE", "NAME", "USER", "PASSWORD", "HOST", "PORT")}
    return {"default": {**plain, "CONN_MAX_AGE": None}}
