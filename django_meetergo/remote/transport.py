"""Sends one request and tells how it ended. A write leaves at most once; a read may be repeated."""

from __future__ import annotations

import contextlib
import json as jsonlib
import logging
import os
import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from hashlib import sha256
from typing import Any
from urllib.parse import quote

import requests
from django.views.decorators.debug import sensitive_variables
from requests.adapters import BaseAdapter
from requests.exceptions import (
    InvalidHeader,
    InvalidProxyURL,
    InvalidSchema,
    InvalidURL,
    MissingSchema,
)
from requests.utils import get_environ_proxies
from urllib3.exceptions import (
    ConnectTimeoutError,
    EmptyPoolError,
    NameResolutionError,
    NewConnectionError,
)

from django_meetergo import __version__
from django_meetergo.exceptions import (
    InvalidRequest,
    OutcomeUnknown,
    RemoteError,
    Unreachable,
    UnreadableReply,
)
from django_meetergo.remote import redaction
from django_meetergo.remote.errors import classify_answer, is_read, read_date
from django_meetergo.remote.payloads import build_instant
from django_meetergo.remote.wire import Watch, WatchedAdapter

logger = logging.getLogger("django_meetergo.remote")
redaction.install()

# URL prefix → adapter. The longest matching prefix carries the request; without one, the network does.
WIRES: dict[str, BaseAdapter] = {}

# Called with (method, route) before each attempt; what they raise stops it.
BEFORE_SEND: list[Callable[[str, str], None]] = []

READ_ATTEMPTS = 3
RETRY_STATUSES = frozenset({429, 502, 503, 504})
BACK_OFF = 0.5
LONGEST_PAUSE = 20.0
# A page of a hundred appointments, or a month of five-minute spots with reasons, is over a mebibyte.
READ_LIMIT = 4 * 1024 * 1024
WRITE_LIMIT = 1024 * 1024
CHUNK = 64 * 1024

# On a wire that is not ours, only these prove that nothing left.
NEVER_SENT = (
    ConnectTimeoutError,
    EmptyPoolError,
    NameResolutionError,
    NewConnectionError,
    InvalidHeader,
    InvalidProxyURL,
    InvalidSchema,
    InvalidURL,
    MissingSchema,
)

_adapters: dict[tuple[int, str, bool], WatchedAdapter] = {}


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


@dataclass(frozen=True, kw_only=True, slots=True)
class _Call:
    """One request, ready to leave."""

    method: str
    route: str
    request: requests.PreparedRequest = field(repr=False)
    hide: tuple[str, ...] = field(repr=False)

    @property
    def url(self) -> str:
        return self.request.url or ""

    @property
    def limit(self) -> int:
        return READ_LIMIT if is_read(self.method) else WRITE_LIMIT

    def failed(self, kind: type[RemoteError], message: str) -> RemoteError:
        return kind(message, method=self.method, route=self.route)


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
    ) -> _Call:
        headers = {"Accept": "application/json", "Accept-Encoding": "gzip", "User-Agent": _user_agent()}
        if with_credential:
            headers |= self.credential.headers
        if not is_read(method):
            headers["Connection"] = "close"
        hide = (self.credential.key, path_params.get("secret", ""), (json or {}).get("secret", ""))
        failure = f"{method} {route} cannot be sent: a header or the address is malformed"
        with contextlib.suppress(requests.RequestException, UnicodeError):
            request = requests.Request(
                method,
                self.root + build_path(route, path_params),
                headers=_sendable(headers),
                params=list(build_query(query)),
                json=json,
            ).prepare()
            return _Call(method=method, route=route, request=request, hide=hide)
        raise Unreachable(failure, method=method, route=route)

    def _attempt(self, call: _Call, ends: float) -> Answer | RemoteError:
        """Send once. What went wrong comes back without its cause, whose text would tell the address."""
        for hook in BEFORE_SEND:
            hook(call.method, call.route)
        started = time.monotonic()
        with Watch(ends) as watch:
            try:
                ending = self._exchange(call, watch)
            except Exception as error:  # noqa: BLE001 - whatever it was, the outcome has to be told
                ending = _explain(call, error, watch)
        logger.debug(
            "%s %s %s in %d ms",
            call.method,
            call.route,
            ending.status or type(ending).__name__,
            (time.monotonic() - started) * 1000,
        )
        return ending

    def _exchange(self, call: _Call, watch: Watch) -> Answer | RemoteError:
        response = self._wire(call).send(
            call.request,
            stream=True,
            timeout=(watch.left, watch.left),
            verify=True,
            proxies=get_environ_proxies(call.url, no_proxy=None),
        )
        with contextlib.closing(response):
            body = _read_body(response, call.limit)
        if body is None:
            return call.failed(UnreadableReply, "answered with more than we are willing to read")
        if watch.expired:
            # A shut socket looks like the end of a body that has no length.
            raise TimeoutError("the answer came too late")
        return _read_answer(call, response, body)

    def _wire(self, call: _Call) -> BaseAdapter:
        prefixes = [prefix for prefix in WIRES if call.url.startswith(prefix)]
        if prefixes:
            return WIRES[max(prefixes, key=len)]
        return _adapter(self.credential.fingerprint, for_writes=not is_read(call.method))


def _user_agent() -> str:
    return f"django-meetergo/{__version__}"


def _sendable(headers: dict[str, str]) -> dict[str, str]:
    """The headers, or ``UnicodeError`` before anything leaves."""
    for value in headers.values():
        value.encode("ascii")
    return headers


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


def _adapter(fingerprint: str, *, for_writes: bool) -> WatchedAdapter:
    """This process's connections for a credential; a forked worker makes its own."""
    pid = os.getpid()
    adapter = _adapters.get((pid, fingerprint, for_writes))
    if adapter is None:
        for key in [key for key in _adapters if key[0] != pid]:
            del _adapters[key]
        adapter = _adapters.setdefault((pid, fingerprint, for_writes), WatchedAdapter(for_writes=for_writes))
    return adapter


def close_connections() -> None:
    """Hang up: close what this process keeps alive."""
    for key in list(_adapters):
        if adapter := _adapters.pop(key, None):
            adapter.close()


def _read_body(response: requests.Response, limit: int) -> bytes | None:
    """The whole body, or None as soon as it is longer than ``limit``."""
    body = bytearray()
    for chunk in response.iter_content(CHUNK):
        body += chunk
        if len(body) > limit:
            return None
    return bytes(body)


def _read_answer(call: _Call, response: requests.Response, body: bytes) -> Answer | RemoteError:
    status = response.status_code
    if not 200 <= status < 300:
        return classify_answer(call.method, call.route, status, body, response.headers, hide=call.hide)
    return Answer(
        status=status,
        method=call.method,
        route=call.route,
        headers=response.headers,
        body=body,
        skew=_read_skew(response.headers),
    )


def _read_skew(headers: Mapping[str, str]) -> float | None:
    moment = read_date(headers.get("Date", ""))
    return (moment - datetime.now(UTC)).total_seconds() if moment else None


def _explain(call: _Call, error: Exception, watch: Watch) -> RemoteError:
    """A failure on the wire. Without proof that nothing left, the outcome of a write is unknown."""
    causes = list(_causes(error))
    why = "time is up" if watch.expired else type(causes[-1]).__name__
    if _never_left(causes, watch):
        return call.failed(Unreachable, f"could not be sent ({why})")
    kind = Unreachable if is_read(call.method) else OutcomeUnknown
    return call.failed(kind, f"no usable answer ({why})")


def _never_left(causes: list[BaseException], watch: Watch) -> bool:
    if watch.stage:
        return watch.stage == "connecting"
    return any(isinstance(cause, NEVER_SENT) for cause in causes)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what lies under it: libraries wrap by cause, by context, as argument, as ``reason``."""
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        cause = waiting.pop(0)
        if isinstance(cause, BaseException) and id(cause) not in seen:
            seen.add(id(cause))
            yield cause
            waiting += [cause.__cause__, cause.__context__, getattr(cause, "reason", None), *cause.args]


def _may_repeat(ending: RemoteError, attempts: int) -> bool:
    if not is_read(ending.method) or attempts >= READ_ATTEMPTS or isinstance(ending, UnreadableReply):
        return False
    return ending.status is None or ending.status in RETRY_STATUSES


def _pause(ending: RemoteError, attempt: int) -> float:
    """As long as meetergo asks, within reason; else half a second, doubling, with jitter."""
    if ending.retry_after is not None:
        return min(ending.retry_after, LONGEST_PAUSE)
    return BACK_OFF * float(2**attempt) * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing
