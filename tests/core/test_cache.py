"""The cache wrapper: it never raises, gives up quickly and comes back."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import pytest
from django.core.cache.backends.locmem import LocMemCache
from django.db import connection, transaction

from django_meetergo import cache as cache_module
from django_meetergo.cache import SLOW_ANSWERS, SLOW_SECONDS, SafeCache, cache


class Clock:
    """A monotonic clock that a test moves."""

    def __init__(self):
        self.seconds = 100.0

    def monotonic(self):
        return self.seconds


class Backend(LocMemCache):
    """A memory cache that can be switched off, slowed down and counted."""

    is_down, seconds, calls = False, 0.0, 0

    def __init__(self, clock):
        super().__init__("wrapper", {})
        self.clear()
        self.clock = clock

    def get(self, *args, **kwargs):
        self.calls += 1
        self.clock.seconds += self.seconds
        if self.is_down:
            raise ConnectionError("Connection refused")
        return super().get(*args, **kwargs)


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(cache_module, "time", SimpleNamespace(monotonic=clock.monotonic))
    return clock


@pytest.fixture
def backend(clock):
    return Backend(clock)


@pytest.fixture
def safe(backend):
    return SafeCache(lambda: backend)


def test_it_stores_and_returns_like_the_backend(safe):
    safe.set("a", 1, 60)
    safe.set_many({"b": 2, "c": 3}, 60)
    assert (safe.get("a"), safe.get("x", 7)) == (1, 7)
    assert safe.get_many(["a", "b", "x"]) == {"a": 1, "b": 2}
    assert (safe.add("a", 5, 60), safe.add("d", 4, 60)) == (False, True)
    safe.increment("n", 60)
    safe.increment("n", 60)
    assert safe.get("n") == 2
    safe.delete("n")
    safe.delete("a")
    safe.delete_many(["b", "c"])
    assert safe.get_many(["a", "b", "c", "d"]) == {"d": 4}


def test_without_a_cache_every_method_returns_its_default():
    def fail():
        raise ConnectionError("Connection refused")

    safe = SafeCache(fail)
    assert (safe.get("a"), safe.get("a", 7), safe.get_many(["a"])) == (None, 7, None)
    assert (safe.add("a", 1, 60), safe.add("a", 1, 60, default=None)) == (True, None)
    safe.set("a", 1, 60)
    safe.set_many({"a": 1}, 60)
    safe.increment("n", 60)
    safe.delete("a")
    safe.delete_many(["a"])


def test_after_a_failure_it_is_skipped_and_then_tested_by_one_caller(safe, backend, clock, caplog):
    backend.is_down = True
    for _ in range(10):
        safe.get("a")
    assert backend.calls == 1
    clock.seconds += 5.1
    safe.get("a")
    safe.get("a")
    assert backend.calls == 2
    clock.seconds += 5.1  # the second pause is longer
    safe.get("a")
    assert backend.calls == 2
    backend.is_down = False
    clock.seconds += 5.1
    safe.get("a")
    safe.get("a")
    assert backend.calls == 4
    assert [record.levelname for record in caplog.records] == ["WARNING"]  # said once, not for each test
    assert "Connection refused" in caplog.text


def test_slow_answers_are_used_and_suspend_the_cache(safe, backend):
    safe.set("a", 1, 60)
    backend.seconds = SLOW_SECONDS + 0.1
    assert [safe.get("a") for _ in range(SLOW_ANSWERS)] == [1] * SLOW_ANSWERS
    assert safe.get("a") is None
    assert backend.calls == SLOW_ANSWERS


def test_one_slow_answer_suspends_nothing(safe, backend):
    """It may be this process that had to wait for its turn."""
    safe.set("a", 1, 60)
    for seconds in (SLOW_SECONDS + 0.1, 0, SLOW_SECONDS + 0.1, 0):
        backend.seconds = seconds
        assert safe.get("a") == 1


def test_recovery_is_logged(safe, backend, clock, caplog):
    caplog.set_level(logging.INFO, "django_meetergo.cache")
    backend.is_down = True
    safe.get("a")
    backend.is_down = False
    clock.seconds += 6
    safe.get("a")
    assert caplog.messages[-1] == "The cache answers again."


def test_one_unreadable_entry_is_not_a_failure_of_the_cache(safe, backend):
    safe.set("good", 1, 60)
    safe.set("odd", 1, 60)
    backend._cache[backend.make_key("odd")] = b"no pickle"
    assert safe.get("odd", "default") == "default"
    assert safe.get("good") == 1


@pytest.mark.django_db(transaction=True)
def test_a_database_cache_without_its_table_leaves_the_transaction_of_the_caller_usable(settings):
    settings.CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "no_such_table"}
    }
    with transaction.atomic():
        assert cache.get("a", "default") == "default"
        cache.reset()
        cache.set("a", 1, 60)
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            assert cursor.fetchone() == (1,)


def test_tests_forget_only_the_entries_of_this_app(safe, backend):
    backend.set("site", "theirs")
    safe.set("a", 1, 60)
    safe.forget_entries()
    assert safe.get("a") is None
    assert backend.get("site") == "theirs"
    safe.set("a", 2, 60)
    assert safe.get_many(["a"]) == {"a": 2}
