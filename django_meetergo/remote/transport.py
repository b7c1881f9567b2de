"""Send a request to meetergo. A write is sent at most once; a read may be retried."""

from __future__ import annotations

import contextlib
import logging
import os
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from hashlib import sha256
from types import ModuleType
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from django.views.decorators.debug import sensitive_variables

from django_meetergo import __version__
from django_meetergo.exceptions import InvalidRequest, RemoteError, Unreachable, UnreadableReply
from django_meetergo.remote import redaction
from django_meetergo.remote.answer import Answer
from django_meetergo.remote.credential import Credential
from django_meetergo.remote.errors import is_read
from django_meetergo.remote.payloads import build_instant
from django_meetergo.texts import Secret

if TYPE_CHECKING:
    from requests.adapters import BaseAdapter

    from django_meetergo.remote.http import PreparedCall

logger = logging.getLogger("django_meetergo.remote")
redaction.install_filters()

#: URL prefix → adapter. The longest matching prefix decides; without a match, the network is used.
ADAPTERS: dict[str, BaseAdapter] = {}

#: Called with (method, route) before each attempt. An exception prevents the attempt.
BEFORE_SEND: list[Callable[[str, str], None]] = []

#: Waits before a retry. The test kit moves the sandbox's clock instead.
sleep: Callable[[float], object] = time.sleep

READ_ATTEMPTS = 3
RETRY_STATUSES = frozenset({429, 502, 503, 504})
BACKOFF_SECONDS = 0.5
MAX_RETRY_AFTER_SECONDS = 20.0


class Transport:
    """Send requests to one host with one credential. ``timeout`` is in seconds per call, retries included."""

    def __init__(
        self, *, credential: Credential, base_url: str = "https://api.meetergo.com", timeout: float = 12.0
    ) -> None:
        self.root = base_url.rstrip("/").removesuffix("/v4").rstrip("/")
        self.credential = credential
        self.timeout = timeout

    @property
    def fingerprint(self) -> str:
        """A digest that identifies the host and the key in caches without revealing the key."""
        parts = (b"meetergo credential", self.root.encode(), self.credential.key.encode())
        return sha256(b"\x00".join(parts)).hexdigest()[:20]

    def __repr__(self) -> str:
        return f"Transport({self.root!r}, {self.credential.kind} credential)"

    @sensitive_variables()
    def send(
        self,
        method: str,
        route: str,
        *,
        path_params: Mapping[str, str] | None = None,
        query: Mapping[str, object] | None = None,
        json: Mapping[str, Any] | None = None,
        with_credential: bool = True,
        before_attempt: Callable[[], None] | None = None,
    ) -> Answer:
        """Return the 2xx answer within the timeout in total, or raise a ``RemoteError``.

        ``before_attempt`` is called before each attempt and may raise. Only reads are retried.
        ``InvalidRequest`` if an id cannot be part of a path.
        """
        ends = time.monotonic() + self.timeout
        call = self._prepare(method, route, path_params or {}, query or {}, json, with_credential)
        attempt = 0
        while True:
            if before_attempt:
                before_attempt()
            outcome = self._attempt(call, ends)
            if isinstance(outcome, Answer):
                return outcome
            pause = _choose_pause(outcome, attempt)
            attempt += 1
            if not _can_retry(outcome, attempt) or time.monotonic() + pause >= ends:
                raise outcome
            sleep(pause)

    def _prepare(
        self,
        method: str,
        route: str,
        path_params: Mapping[str, str],
        query: Mapping[str, object],
        json: Mapping[str, Any] | None,
        with_credential: bool,  # noqa: FBT001 - private
    ) -> PreparedCall:
        headers = {
            "Accept": "application/json",
            "Accept-Encoding": "gzip",
            "User-Agent": f"django-meetergo/{__version__}",
        }
        if with_credential:
            headers |= self.credential.headers
        if not is_read(method):
            headers["Connection"] = "close"
        with contextlib.suppress(UnicodeError):
            call: PreparedCall | None = load_http_client().prepare_call(
                method,
                route,
                url=Secret(self.root + build_path(route, path_params)),
                headers=headers,
                params=list(build_query(query)),
                json=json,
                hide=self._list_secrets(path_params, json or {}),
            )
            if call:
                return call
        failure = f"{method} {route} cannot be sent: a header or the address is malformed"
        raise Unreachable(failure, method=method, route=route)

    def _list_secrets(self, *documents: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the texts of a call that no message may repeat; a crash report does not show them."""
        found = (self.credential.key, *(document.get("secret", "") for document in documents))
        return tuple(Secret(text) for text in found)

    def _attempt(self, call: PreparedCall, ends: float) -> Answer | RemoteError:
        """Send once. Return the error instead of raising it."""
        for hook in BEFORE_SEND:
            hook(call.method, call.route)
        started = time.monotonic()
        outcome: Answer | RemoteError = load_http_client().send_once(
            call, lambda: self._find_adapter(call), ends=ends
        )
        logger.debug(
            "%s %s %s in %d ms",
            call.method,
            call.route,
            outcome.status or type(outcome).__name__,
            (time.monotonic() - started) * 1000,
        )
        return outcome

    def _find_adapter(self, call: PreparedCall) -> BaseAdapter:
        prefixes = [prefix for prefix in ADAPTERS if call.url.startswith(prefix)]
        if prefixes:
            return ADAPTERS[max(prefixes, key=len)]
        adapter: BaseAdapter = load_http_client().get_adapter(
            self.fingerprint, for_writes=not is_read(call.method)
        )
        return adapter


_import_lock = threading.Lock()

if hasattr(os, "register_at_fork"):
    # A process that is forked while another thread imports would wait for that import for ever.
    os.register_at_fork(
        before=_import_lock.acquire, after_in_parent=_import_lock.release, after_in_child=_import_lock.release
    )


def load_http_client() -> ModuleType:
    """Import ``requests`` with the first call, because the import takes a while."""
    with _import_lock:
        from django_meetergo.remote import http
    return http


def build_path(route: str, path_params: Mapping[str, str]) -> str:
    """Fill ids into a route, each as one encoded segment. Raise ``InvalidRequest`` for one that cannot be."""
    for name, value in path_params.items():
        if not isinstance(value, str) or value in {"", ".", ".."}:
            raise InvalidRequest(f"{name} cannot be part of an address", field=name)
    return route.format(**{name: quote(value, safe="") for name, value in path_params.items()})


def build_query(query: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Yield key and value of each parameter. Leave out None and empty texts; repeat the key for lists."""
    for key, value in query.items():
        values = value if isinstance(value, list | tuple) else [value]
        yield from ((key, _build_value(item)) for item in values if item is not None and item != "")


def _build_value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return build_instant(value) if isinstance(value, date) else str(value)


def _can_retry(error: RemoteError, attempts: int) -> bool:
    if not is_read(error.method) or attempts >= READ_ATTEMPTS or isinstance(error, UnreadableReply):
        return False
    return error.status is None or error.status in RETRY_STATUSES


def _choose_pause(error: RemoteError, attempt: int) -> float:
    """Return the seconds until the next attempt: ``Retry-After`` up to a limit, else backoff with jitter."""
    if error.retry_after is not None:
        return min(error.retry_after, MAX_RETRY_AFTER_SECONDS)
    return BACKOFF_SECONDS * float(2**attempt) * random.uniform(0.5, 1.0)  # noqa: S311 - not for security
