"""One request carried there and its answer carried back, once, within a deadline; and how that ended.

The one module that knows both ``requests`` and what its failures mean for us. The first call brings it in.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import requests
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

from django_meetergo.exceptions import OutcomeUnknown, RemoteError, Unreachable, UnreadableReply
from django_meetergo.remote.deadline import Deadline
from django_meetergo.remote.errors import classify_answer, is_read, read_date
from django_meetergo.remote.pools import get_adapter
from django_meetergo.remote.transport import Answer

__all__ = ["PreparedCall", "get_adapter", "prepare_call", "send_once"]

# A page of a hundred appointments, or a month of five-minute spots with reasons, is over a mebibyte.
READ_LIMIT = 4 * 1024 * 1024
WRITE_LIMIT = 1024 * 1024
CHUNK = 64 * 1024

# On a wire that is not ours, only these prove that nothing left.
NOT_SENT_ERRORS = (
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


@dataclass(frozen=True, kw_only=True, slots=True)
class PreparedCall:
    """One request, ready to leave. ``hide`` are words that no message may repeat."""

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


def prepare_call(
    method: str,
    route: str,
    *,
    url: str,
    headers: Mapping[str, str],
    params: Sequence[tuple[str, str]],
    json: Mapping[str, Any] | None,
    hide: tuple[str, ...],
) -> PreparedCall | None:
    """The request as it will leave; None when it cannot be one, for example by a malformed header."""
    with contextlib.suppress(requests.RequestException, UnicodeError):
        for value in headers.values():
            value.encode("ascii")
        request = requests.Request(
            method, url, headers=dict(headers), params=list(params), json=json
        ).prepare()
        return PreparedCall(method=method, route=route, request=request, hide=hide)
    return None


def send_once(
    call: PreparedCall, find_wire: Callable[[], BaseAdapter], *, ends: float
) -> Answer | RemoteError:
    """What went wrong comes back without its cause, whose text would tell the address."""
    with Deadline(ends) as watch:
        try:
            return _exchange(call, find_wire(), watch)
        except Exception as error:  # noqa: BLE001 - whatever it was, the outcome has to be told
            return _classify_error(call, error, watch)


def _exchange(call: PreparedCall, adapter: BaseAdapter, watch: Deadline) -> Answer | RemoteError:
    response = adapter.send(
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


def _read_body(response: requests.Response, limit: int) -> bytes | None:
    """The whole body, or None as soon as it is longer than ``limit``."""
    body = bytearray()
    for chunk in response.iter_content(CHUNK):
        body += chunk
        if len(body) > limit:
            return None
    return bytes(body)


def _read_answer(call: PreparedCall, response: requests.Response, body: bytes) -> Answer | RemoteError:
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


def _classify_error(call: PreparedCall, error: Exception, watch: Deadline) -> RemoteError:
    """A failure on the wire. Without proof that nothing left, the outcome of a write is unknown."""
    causes = list(_list_causes(error))
    why = "time is up" if watch.expired else type(causes[-1]).__name__
    if _was_never_sent(causes, watch):
        return call.failed(Unreachable, f"could not be sent ({why})")
    kind = Unreachable if is_read(call.method) else OutcomeUnknown
    return call.failed(kind, f"no usable answer ({why})")


def _was_never_sent(causes: list[BaseException], watch: Deadline) -> bool:
    if watch.stage:
        return watch.stage == "connecting"
    return any(isinstance(cause, NOT_SENT_ERRORS) for cause in causes)


def _list_causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what lies under it: libraries wrap by cause, by context, as argument, as ``reason``."""
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        cause = waiting.pop(0)
        if isinstance(cause, BaseException) and id(cause) not in seen:
            seen.add(id(cause))
            yield cause
            waiting += [cause.__cause__, cause.__context__, getattr(cause, "reason", None), *cause.args]
