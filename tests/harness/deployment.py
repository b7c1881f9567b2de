"""A site as processes: gunicorn, a Celery worker with beat, database, cache and broker; the sandbox is here.

Every connection of the site can be led through a fault proxy. The processes can be killed; one that has ended
is started again, as a process manager does.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import urlopen
from uuid import uuid4

from django.db import connection

from django_meetergo.sandbox import server
from django_meetergo.sandbox.app import Sandbox
from django_meetergo.sandbox.seed import ADMIN_TOKEN
from tests.harness import workers
from tests.harness.proxy import Plan, Proxy, start_proxy

BOOT_SECONDS = 60
BROKERS = ("redis", "rabbitmq")
AMQP_URL = os.environ.get("AMQP_URL", "amqp://guest:guest@127.0.0.1:5672//")
#: How soon a process that has ended is started again.
RESTART_SECONDS = 0.5


@dataclass
class Deployment:
    """The running site; ``url`` is where its visitors go."""

    url: str
    sandbox: Sandbox
    service: Proxy
    database: Proxy
    cache: Proxy
    broker: Proxy
    cache_server: tuple[str, int]
    broker_server: tuple[str, int]
    database_role: str
    folder: Path
    environment: Mapping[str, str]
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    restarts: Counter[str] = field(default_factory=Counter)
    stopping: threading.Event = field(default_factory=threading.Event)
    boot_seconds: float = 0.0

    def start(self, name: str) -> None:
        """Start the process ``web`` or ``worker``."""
        python = [sys.executable, "-m"]
        port = str(urlsplit(self.url).port)
        commands = {
            "web": [
                *python, "gunicorn", "tests.harness.site_wsgi:application", "--bind", f"127.0.0.1:{port}",
                "--workers", "2", "--threads", "8", "--timeout", "60", "--log-level", "warning",
            ],
            "worker": [
                *python, "celery", "-A", "tests.harness.site_celery", "worker", "--beat",
                "--concurrency", "2", "--loglevel", "WARNING", "--schedule", str(self.folder / "beat"),
            ],
        }  # fmt: skip
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                commands[name], env=dict(self.environment), stdout=log, stderr=log, start_new_session=True
            )

    def keep_running(self) -> None:
        """Start processes that have ended again until the site is stopped."""
        while not self.stopping.wait(RESTART_SECONDS):
            for name, process in list(self.processes.items()):
                if process.poll() is not None:
                    end_group(process, signal.SIGKILL)  # children may have outlived it
                    self.restarts[name] += 1
                    self.start(name)

    def wait_until_ready(self) -> None:
        """Wait until the site answers, and note how long a start takes on this machine."""
        began = time.monotonic()
        while time.monotonic() < began + BOOT_SECONDS:
            try:
                with urlopen(f"{self.url}/book/", timeout=5) as answer:
                    if answer.status == 200:
                        self.boot_seconds = time.monotonic() - began
                        return
            except OSError:
                time.sleep(0.2)
        raise RuntimeError(f"The site did not start:\n{self.read_log('web')}")

    def read_log(self, name: str) -> str:
        path = self.folder / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def stop(self) -> None:
        for process in self.processes.values():
            end_group(process, signal.SIGTERM)
        for process in self.processes.values():
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                end_group(process, signal.SIGKILL)
                process.wait(30)


def end_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Send a signal to a process and its children, or to those that are left of them."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


@contextmanager
def deploy(
    *,
    sandbox: Sandbox,
    plan: Plan | None = None,
    seed: int = 1,
    patches: Mapping[str, str] | None = None,
    kills: Path | None = None,
    broker: str = "redis",
    **meetergo: Any,
) -> Iterator[Deployment]:
    """Run a site on the database of this process until the block ends.

    ``meetergo`` are its other settings. ``patches`` maps dotted paths to the dotted paths of what
    replaces them in every process of the site: a sabotage. ``kills`` is the folder of ``kill_points``.
    ``broker`` is ``redis``, with a server of its own, or ``rabbitmq``, the server that ``AMQP_URL`` names.
    """
    from django.conf import settings

    with ExitStack() as stack:
        running = stack.enter_context(server.start(sandbox))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        known = workers.database_settings()["default"]
        service = stack.enter_context(start_proxy(split_address(running.url), plan=plan, seed=seed))
        database = stack.enter_context(
            start_proxy((known["HOST"] or "127.0.0.1", int(known["PORT"] or 5432)), is_http=False)
        )
        # Two servers, so that a full or flushed cache does not take the broker with it.
        cache_server = stack.enter_context(start_redis(folder))
        name = f"harness_{uuid4().hex[:8]}"
        if broker == "redis":
            broker_server, broker_url = stack.enter_context(start_redis(folder)), "redis://{}:{}/1"
        else:
            broker_server, broker_url = split_address(AMQP_URL), build_amqp_url()
            stack.callback(delete_queue, name)
        cache = stack.enter_context(start_proxy(cache_server, is_http=False))
        broker_proxy = stack.enter_context(start_proxy(broker_server, is_http=False))
        stack.enter_context(own_role(name))
        given = {
            "DATABASES": {
                "default": {
                    **known,
                    "USER": name,
                    "HOST": database.address[0],
                    "PORT": database.address[1],
                    "CONN_MAX_AGE": 0,
                    "CONN_HEALTH_CHECKS": True,
                }
            },
            "CACHES": {
                "default": {
                    "BACKEND": "django.core.cache.backends.redis.RedisCache",
                    "LOCATION": f"{cache.url.replace('http', 'redis')}/0",
                    "KEY_PREFIX": name,
                    "OPTIONS": {"socket_timeout": 1, "socket_connect_timeout": 1},
                }
            },
            "MEETERGO": {
                **settings.MEETERGO,
                "BASE_URL": service.url,
                "API_KEY": ADMIN_TOKEN,
                "BACKGROUND": "celery",
                **meetergo,
            },
        }
        environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tests.harness.site_settings",
            "HARNESS_SETTINGS": json.dumps(given),
            "HARNESS_PATCHES": json.dumps(dict(patches or {})),
            **({"HARNESS_KILLS": str(kills)} if kills else {}),
            "CELERY_BROKER_URL": broker_url.format(*broker_proxy.address),
            "CELERY_QUEUE": name,
        }
        site = Deployment(
            url=f"http://127.0.0.1:{find_free_port()}",
            sandbox=sandbox,
            service=service,
            database=database,
            cache=cache,
            broker=broker_proxy,
            folder=folder,
            environment=environment,
            cache_server=cache_server,
            broker_server=broker_server,
            database_role=name,
        )
        workers.read_directory(running.url)
        keeper = threading.Thread(target=site.keep_running, name="process-manager", daemon=True)
        try:
            site.start("web")
            site.start("worker")
            site.wait_until_ready()
            keeper.start()
            yield site
        finally:
            site.stopping.set()
            if keeper.is_alive():
                keeper.join(BOOT_SECONDS)
            site.stop()


@contextmanager
def own_role(name: str) -> Iterator[None]:
    """Create a database role for the site, which may read and write all tables, until the block ends.

    It is not a superuser: those are let in whatever the limit of connections.
    """
    run_sql(
        f"CREATE ROLE {name} LOGIN",
        f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {name}",
        f"GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {name}",
    )
    try:
        yield
    finally:
        run_sql(f"DROP OWNED BY {name}", f"DROP ROLE {name}")


def run_sql(*statements: str) -> None:
    """Run statements on the database of this process, over a session of their own."""
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
    connection.close()


@contextmanager
def start_redis(folder: Path) -> Iterator[tuple[str, int]]:
    """Run a Redis of our own, which may be flushed and filled up, and return its address."""
    port = find_free_port()
    process = subprocess.Popen(
        ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--dir", str(folder)],
        stdout=subprocess.DEVNULL,
    )
    try:
        ends = time.monotonic() + BOOT_SECONDS
        while not is_listening(port):
            if time.monotonic() > ends:
                raise RuntimeError("redis-server did not start.")
            time.sleep(0.05)
        yield "127.0.0.1", port
    finally:
        process.kill()
        process.wait(10)


def build_amqp_url() -> str:
    """Return the address of RabbitMQ with places for another host and port."""
    parts = urlsplit(AMQP_URL)
    return f"amqp://{parts.username}:{parts.password}@{{}}:{{}}{parts.path}"


def delete_queue(name: str) -> None:
    """Delete the queue of a site from RabbitMQ, which keeps it otherwise."""
    from kombu import Connection

    with Connection(AMQP_URL) as amqp:
        amqp.default_channel.queue_delete(name)


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def split_address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "127.0.0.1", parts.port or 80


def find_free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
