"""Cache backends of a site whose cache server is down or does not answer."""

from __future__ import annotations

import time
from typing import Any, ClassVar

from django.core.cache.backends.locmem import LocMemCache


class DeadCache(LocMemCache):
    """Raises at every call, as a client does when nothing listens."""

    def _fail(self, *args: Any, **kwargs: Any) -> Any:
        raise ConnectionError("Error 111 connecting to 127.0.0.1:6379. Connection refused.")

    get = get_many = add = set = set_many = delete = delete_many = incr = touch = _fail


class SilentCache(LocMemCache):
    """Fails after the socket timeout, as a client does when a server accepts and never answers."""

    TIMEOUT = 0.6
    calls: ClassVar[list[str]] = []

    def _wait(self, *args: Any, **kwargs: Any) -> Any:
        self.calls.append("call")
        time.sleep(self.TIMEOUT)
        raise TimeoutError("Timeout reading from socket")

    get = get_many = add = set = set_many = delete = delete_many = incr = touch = _wait
