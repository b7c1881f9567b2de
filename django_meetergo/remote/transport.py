"""Sends one request and tells how it ended. A write leaves at most once; a read may be repeated."""

from __future__ import annotations

import contextlib
import json as jsonlib
import logging
import os
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from hashlib import sha256
from types import ModuleType
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from django.views.decorators.debug import sensitive_variables

from django_meetergo import __version__
from django_meetergo.exceptions import InvalidRequest, RemoteError, Unreachable, UnreadableReply
from django_meetergo.remote import redaction
from django_meetergo.remote.errors import is_read
from django_meetergo.remote.payloads import build_instant

if TYPE_CHECKING:
    from requests.adapters import BaseAdapter

    from django_meetergo.remote.http import PreparedCall

logger = logging.getLogger("django_meetergo.remote")
redaction.install_filters()

# URL prefix → adapter. The longest matching prefix carries the request; without one, the network does.
ADAPTERS: dict[str, BaseAdapter] = {}

# Called with (method, route) before each attempt; what they raise stops it.
BEFORE_SEND: list[Callable[[str, str], None]] = []

READ_ATTEMPTS = 3
RETRY_STATUSES = frozenset({429, 502, 503, 504})
BACKOFF_SECONDS = 0.5
MAX_PAUSE_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Credential:
    """A key and, for platform keys, the user to act for. The kind is told by the key's prefix."""

    key: str = field(repr=False)
    user_id: str = ""

    @property
    def kind(self) -> str:
        """``personal``, ``platform`` or ``unknown``."""
        if self.key.startswith("rgo-"):
            return "personal"
        return "platform" if self.key.startswith("ak_live:") else "unknown"

    @property
    def fingerprint(self) -> str:
        """Names this key in caches without telling it."""
        return sha256(b"meetergo credential\x00" + self.key.encode()).hexdigest()[:20]

    @property
    def headers(self) -> dict[str, str]:
        """Personal tokens must never name a user, platform keys must."""
        if not self.key:
            return {}
        headers = {"Authorization": f"Bearer {self.key}"}
        if self.kind == "platform" and self.user_id:
            headers["x-meetergo-api-user-id"] = self.user_id
        return headers


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """A 2xx answer. ``skew`` is how many seconds meetergo's clock is ahead of ours, if it told the time."""

    status: int
    method: str
    route: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    skew: float | None = None

    @property
    def is_empty(self) -> bool:
        return not self.body.strip()

    @property
    def request_id(self) -> str:
        """What to quote to meetergo's support, if it was told."""
        value = self.headers.get("x-request-id", "")
        return value[:100] if value.isprintable() else ""

    def read_json(self) -> Any:
        """The document; ``UnreadableReply`` if there is none."""
        with contextlib.suppress(ValueError, RecursionError):
            return jsonlib.loads(self.body, parse_constant=_refuse_constant)
        what = "an empty body" if self.is_empty else "something that is not JSON"
        raise self.unreadable(f"answered with {what}")

    def unreadable(self, message: str) -> UnreadableReply:
        return UnreadableReply(message, method=self.method, route=self.route, status=self.status)


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


class Transport:
    """One credential's way to one host."""

    def __init__(
        self, *, credential: Credential, base_url: str = "https://api.meetergo.com", timeout: float = 12.0
    ) -> None:
        self.root = base_url.rstrip("/").removesuffix("/v4").rstrip("/")
        self.credential = credential
        self.timeout = timeout

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
        timeout: float | None = None,
        with_credential: bool = True,
        admit: Callable[[], None] | None = None,
    ) -> Answer:
        """The 2xx answer, within ``timeout`` seconds in all; everything else is a ``RemoteError``.

        ``admit`` is asked before each attempt and may raise. Only reads have a second attempt.
        """
        ends = time.monotonic() + (self.timeout if timeout is None else timeout)
        call = self._prepare(method, route, path_params or {}, query or {}, json, with_credential)
        attempt = 0
        while True:
            if admit:
                admit()
            ending = self._attempt(call, ends)
            if isinstance(ending, Answer):
                return ending
            pause = _pause(ending, attempt)
            attempt += 1
            if not _may_repeat(ending, attempt) or time.monotonic() + pause >= ends:
                raise ending
            time.sleep(pause)

    def _prepare(
        self,
        method: str,
        route: str,
        path_params: Mapping[str, str],
        query: Mapping[str, object],
        json: Mapping[str, Any] | None,
        with_credential: bool,  # noqa: FBT001 - private, and the last of a list handed on
    ) -> PreparedCall:
        headers = {"Accept": "application/json", "Accept-Encoding": "gzip", "User-Agent": _user_agent()}
        if with_credential:
            headers |= self.credential.headers
        if not is_read(method):
            headers["Connection"] = "close"
        with contextlib.suppress(UnicodeError):
            call: PreparedCall | None = load_http_client().prepare_call(
                method,
                route,
                url=self.root + build_path(route, path_params),
                headers=headers,
                params=list(build_query(query)),
                json=json,
                hide=(self.credential.key, path_params.get("secret", ""), (json or {}).get("secret", "")),
            )
            if call:
                return call
        failure = f"{method} {route} cannot be sent: a header or the address is malformed"
        raise Unreachable(failure, method=method, route=route)

    def _attempt(self, call: PreparedCall, ends: float) -> Answer | RemoteError:
        """Send once; its ending is told, not raised."""
        for hook in BEFORE_SEND:
            hook(call.method, call.route)
        started = time.monotonic()
        ending: Answer | RemoteError = load_http_client().send_once(
            call, lambda: self._find_wire(call), ends=ends
        )
        logger.debug(
            "%s %s %s in %d ms",
            call.method,
            call.route,
            ending.status or type(ending).__name__,
            (time.monotonic() - started) * 1000,
        )
        return ending

    def _find_wire(self, call: PreparedCall) -> BaseAdapter:
        prefixes = [prefix for prefix in ADAPTERS if call.url.startswith(prefix)]
        if prefixes:
            return ADAPTERS[max(prefixes, key=len)]
        found: BaseAdapter = load_http_client().get_adapter(
            self.credential.fingerprint, for_writes=not is_read(call.method)
        )
        return found


_loading = threading.Lock()

if hasattr(os, "register_at_fork"):
    # A process that is forked while a thread imports would wait for that import for ever.
    os.register_at_fork(
        before=_loading.acquire, after_in_parent=_loading.release, after_in_child=_loading.release
    )


def load_http_client() -> ModuleType:
    """The module that knows ``requests``, which takes a while to load: not before the first call."""
    with _loading:
        from django_meetergo.remote import http
    return http


def _user_agent() -> str:
    return f"django-meetergo/{__version__}"


def build_path(route: str, path_params: Mapping[str, str]) -> str:
    """The route with its ids as single, encoded segments; an id that would change the path is refused."""
    for name, value in path_params.items():
        if not isinstance(value, str) or value in {"", ".", ".."}:
            raise InvalidRequest(f"{name} cannot be part of an address", field=name)
    return route.format(**{name: quote(value, safe="") for name, value in path_params.items()})


def build_query(query: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Empty values are left out, zero is not; lists repeat their key."""
    for key, value in query.items():
        values = value if isinstance(value, list | tuple) else [value]
        yield from ((key, _build_value(item)) for item in values if item is not None and item != "")


def _build_value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return build_instant(value) if isinstance(value, date) else str(value)


def _may_repeat(ending: RemoteError, attempts: int) -> bool:
    if not is_read(ending.method) or attempts >= READ_ATTEMPTS or isinstance(ending, UnreadableReply):
        return False
    return ending.status is None or ending.status in RETRY_STATUSES


def _pause(ending: RemoteError, attempt: int) -> float:
    """As long as meetergo asks, within reason; else half a second, doubling, with jitter."""
    if ending.retry_after is not None:
        return min(ending.retry_after, MAX_PAUSE_SECONDS)
    return BACKOFF_SECONDS * float(2**attempt) * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing
