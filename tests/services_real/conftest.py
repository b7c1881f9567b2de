"""Real brokers and real worker processes. What is missing is a failure, never a skip."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from django.db import connection

from django_meetergo import framework_tasks, tasks

BROKERS = {
    "redis": os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0"),
    "rabbitmq": os.environ.get("AMQP_URL", "amqp://guest:guest@127.0.0.1:5672//"),
}


@dataclass(frozen=True, kw_only=True)
class Worker:
    """A worker process, and the function that wakes it."""

    process: subprocess.Popen[bytes]
    publish: Callable[[], None]


@pytest.fixture
def site_env(transactional_db, live_meetergo_sandbox):
    """The environment of another process on the same database and the same sandbox as the test."""
    assert connection.vendor == "postgresql", "Set DATABASE_URL to a PostgreSQL database."
    database = connection.settings_dict
    address = f"{database['HOST']}:{database['PORT'] or 5432}"
    user = database["USER"] + (f":{database['PASSWORD']}" if database["PASSWORD"] else "")
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "DATABASE_URL": f"postgres://{user}@{address}/{database['NAME']}",
        "MEETERGO_BASE_URL": live_meetergo_sandbox.base_url,
        # A killed worker's rows are free again soon.
        "MEETERGO_LEASE": "2",
        "MEETERGO_OUTCOME_DEADLINE": "4",
    }


@contextmanager
def run_celery(broker: str, env: dict[str, str], log) -> Iterator[Worker]:
    from tests.celery_app import make_app

    queue = f"meetergo-{uuid.uuid4().hex[:8]}"
    app = make_app(BROKERS[broker], queue)
    app.set_current()
    command = ["celery", "-A", "tests.celery_app", "worker", "--pool=solo", "-l", "INFO"]
    env = {**env, "CELERY_BROKER_URL": BROKERS[broker], "CELERY_QUEUE": queue}

    def publish():
        app.set_current()  # the current application is kept per thread
        tasks.publish_wake_up()

    with run_process(command, env, log, b"ready.") as process:
        yield Worker(process=process, publish=publish)
    app.close()


@contextmanager
def run_framework(env: dict[str, str], log) -> Iterator[Worker]:
    """Run a worker of the database backend of Django's task framework."""
    command = ["django", "db_worker", "--interval", "0.1", "--no-startup-delay"]
    with run_process(command, env, log, b"Starting worker") as process:
        yield Worker(process=process, publish=framework_tasks.publish_wake_up)


@contextmanager
def run_process(command, env, log, ready):
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *command], env=env, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            wait_for(lambda: ready in log.read_bytes(), log)
            yield process
        finally:
            process.terminate()
            process.wait(20)


@pytest.fixture
def start_worker(site_env, tmp_path):
    """Return a context manager that runs a worker: of Celery with a broker, or of the task framework."""

    def start_worker(kind):
        log = tmp_path / "worker.log"
        return run_framework(site_env, log) if kind == "tasks" else run_celery(kind, site_env, log)

    return start_worker


@pytest.fixture(params=[*sorted(BROKERS), "tasks"])
def worker(request, start_worker):
    with start_worker(request.param) as worker:
        yield worker


def wait_for(condition, log=None, seconds=30):
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, log.read_text() if log else "nothing happened in time"
        time.sleep(0.05)
