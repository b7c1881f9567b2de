"""The Django cache as this app uses it: a convenience that never raises and is given up quickly.

Availability, rendered pages, rate limits and the circuit breaker are kept in the cache that ``CACHE`` names.
None of them may fail a request, or make it wait, because a cache server is down or does not answer.
"""

from __future__ import annotations

import contextlib
import logging
import pickle
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from uuid import uuid4

from django.core.cache import BaseCache, caches
from django.core.cache.backends.db import BaseDatabaseCache
from django.core.signals import setting_changed
from django.db import connections, router, transaction

from django_meetergo.conf import get_settings

logger = logging.getLogger(__name__)

#: So many answers in a row that took longer suspend the cache, as a failure does. One may be a busy machine.
SLOW_SECONDS = 0.5
SLOW_ANSWERS = 2
#: How long the cache is not used after a failure. Doubles with each further failure.
FIRST_PAUSE_SECONDS = 5.0
MAX_PAUSE_SECONDS = 60.0
#: Errors of one entry or one key. They say nothing about the cache itself.
ENTRY_ERRORS = (ValueError, TypeError, AttributeError, LookupError, EOFError, pickle.PickleError)


class SafeCache:
    """A cache whose methods return ``default`` whenever the cache cannot answer.

    After a failure or slow answers this process does not use the cache for a while. Then one caller tests
    it, and the others go on without it until the test has succeeded.
    """

    def __init__(self, get_backend: Callable[[], BaseCache]) -> None:
        self._get_backend = get_backend
        self._prefix = ""
        self.reset()

    def reset(self) -> None:
        """Use the cache again at once, as a new process would."""
        self._pause, self._suspended_until, self._slow_answers = 0.0, 0.0, 0

    def forget_entries(self) -> None:
        """Make this process ignore all entries stored so far. For tests: entries of the site stay."""
        self._prefix = f"{uuid4().hex[:12]}:"

    @property
    def is_suspended(self) -> bool:
        """Whether calls return their default at the moment."""
        return time.monotonic() < self._suspended_until

    def get(self, key: str, default: Any = None) -> Any:
        return self._call("get", self._prefix + key, default, default=default)

    def get_many(self, keys: Iterable[str]) -> dict[str, Any] | None:
        """Return the known entries by key, or None if the cache cannot answer."""
        found = self._call("get_many", [self._prefix + key for key in keys])
        return None if found is None else {key.removeprefix(self._prefix): found[key] for key in found}

    def set(self, key: str, value: Any, timeout: float | None) -> None:
        """Store a value for ``timeout`` seconds."""
        self._call("set", self._prefix + key, value, timeout)

    def set_many(self, values: Mapping[str, Any], timeout: float | None) -> None:
        self._call("set_many", {self._prefix + key: value for key, value in values.items()}, timeout)

    def add(self, key: str, value: Any, timeout: float | None, *, default: Any = True) -> Any:
        """Store a value unless there is one. Return whether it was stored.

        Whoever uses this as a lock goes on without a cache, so ``default`` is True unless given.
        """
        return self._call("add", self._prefix + key, value, timeout, default=default)

    def delete(self, key: str) -> None:
        self._call("delete", self._prefix + key)

    def delete_many(self, keys: Iterable[str]) -> None:
        self._call("delete_many", [self._prefix + key for key in keys])

    def increment(self, key: str, timeout: float) -> None:
        """Count up from 0."""
        self.add(key, 0, timeout)
        self._call("incr", self._prefix + key)

    def _call(self, method: str, *args: Any, default: Any = None) -> Any:
        started = time.monotonic()
        if started < self._suspended_until:
            return default
        if self._pause:  # this caller tests the cache; the others go on without it
            self._suspended_until = started + self._pause
        try:
            backend = self._get_backend()
            with _protect_transaction(backend):
                result = getattr(backend, method)(*args)
        except ENTRY_ERRORS as error:
            logger.debug("The cache could not %s an entry: %r", method, error)
            return default
        except Exception as error:  # noqa: BLE001 - every backend has its own errors, and none may stop a caller
            self._suspend(f"{type(error).__name__}: {error}")
            return default
        seconds = time.monotonic() - started
        self._slow_answers = self._slow_answers + 1 if seconds > SLOW_SECONDS else 0
        if self._slow_answers >= SLOW_ANSWERS:
            self._suspend(f"{self._slow_answers} answers in a row were slow, the last took {seconds:.1f} s")
        elif self._pause:
            logger.info("The cache answers again.")
            self.reset()
        return result

    def _suspend(self, reason: str) -> None:
        if not self._pause:
            logger.warning(
                "The cache failed (%s). This process goes on without it and tests it again in %d s: "
                "free times are read from meetergo, and each process has a share of the request limit.",
                reason,
                FIRST_PAUSE_SECONDS,
            )
        self._pause = min(self._pause * 2, MAX_PAUSE_SECONDS) if self._pause else FIRST_PAUSE_SECONDS
        self._suspended_until = time.monotonic() + self._pause


def _protect_transaction(backend: BaseCache) -> contextlib.AbstractContextManager[Any]:
    """Return a savepoint if the cache is a database table and a transaction of that database is open.

    Without one, an error of the cache would abort the transaction of the caller.
    """
    if isinstance(backend, BaseDatabaseCache):
        alias = router.db_for_write(backend.cache_model_class)
        if connections[alias].in_atomic_block:
            return transaction.atomic(using=alias)
    return contextlib.nullcontext()


#: The cache that ``MEETERGO["CACHE"]`` names.
cache = SafeCache(lambda: caches[get_settings().CACHE])


def _reset_cache(*, setting: str, **kwargs: Any) -> None:
    if setting in {"CACHES", "MEETERGO"}:
        cache.reset()


setting_changed.connect(_reset_cache)
