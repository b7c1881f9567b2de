"""Real brokers and a real worker process. What is missing is a failure, never a skip."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid

import pytest
from django.db import connection

BROKERS = {
    "redis": os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0"),
    "rabbitmq": os.environ.get("AMQP_URL", "amqp://guest:guest@127.0.0.1:5672//"),
}


@pytest.fixture(params=sorted(BROKERS))
def broker(request):
    """The address of a real broker."""
    return BROKERS[request.param]


@pytest.fixture
def queue():
    return f"meetergo-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def celery_app(broker, queue):
    """The application of this process, speaking to the real broker."""
    from tests.celery_app import make_app

    app = make_app(broker, queue)
    app.set_current()
    yield app
    app.close()


@pytest.fixture
def worker(broker, queue, transactional_db, live_meetergo_sandbox, tmp_path):
    """A worker process on the same database and the same sandbox as the test."""
    assert connection.vendor == "postgresql", "Set DATABASE_URL to a PostgreSQL database."
    database = connection.settings_dict
    address = f"{database['HOST']}:{database['PORT'] or 5432}"
    user = database["USER"] + (f":{database['PASSWORD']}" if database["PASSWORD"] else "")
    env = {
        **os.environ,
        "DATABASE_URL": f"postgres://{user}@{address}/{database['NAME']}",
        "MEETERGO_BASE_URL": live_meetergo_sandbox.base_url,
        "CELERY_BROKER_URL": broker,
        "CELERY_QUEUE": queue,
        # A killed worker's rows are free again soon.
        "MEETERGO_LEASE": "2",
        "MEETERGO_OUTCOME_DEADLINE": "4",
    }
    log = tmp_path / "worker.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "celery", "-A", "tests.celery_app", "worker", "--pool=solo", "-l", "INFO"],
            env=env,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            wait_for(lambda: b"ready." in log.read_bytes(), log)
            yield process
        finally:
            process.terminate()
            process.wait(20)


def wait_for(condition, log=None, seconds=30):
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, log.read_text() if log else "nothing happened in time"
        time.sleep(0.05)
