"""Concurrent calls, on PostgreSQL and MariaDB. A missing database server is a failure, not a skip."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, connections


@pytest.fixture(autouse=True)
def _on_a_database_server(transactional_db):
    assert connection.vendor in {"postgresql", "mysql"}, (
        "The races need a database server: set DATABASE_URL, for example "
        "postgres://postgres@127.0.0.1:5432/postgres or mysql://root@127.0.0.1:3306/test."
    )


def pytest_addoption(parser):
    parser.addoption("--rounds", type=int, default=8, help="the number of repetitions of each race")


@pytest.fixture
def rounds(request):
    return request.config.getoption("--rounds")


@pytest.fixture
def at_once():
    """Call a function with each item at the same moment, each in its own thread and connection."""

    def at_once(call, items):
        items = list(items)
        barrier = threading.Barrier(len(items))

        def run(item):
            try:
                barrier.wait()
                return call(item)
            finally:
                connections.close_all()

        with ThreadPoolExecutor(len(items)) as pool:
            return list(pool.map(run, items))

    return at_once
