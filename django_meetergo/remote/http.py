"""Send one prepared request once, within a deadline, and classify how the attempt ended.

This module maps the failures of ``requests`` and ``urllib3`` to the exceptions of this package. Importing
``requests`` takes a while, so ``transport`` imports this module with the first call.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import requests
from requests.adapters import BaseAdapter
from requests.exceptions import InvalidHeader, InvalidProxyURL, InvalidSchema, InvalidURL, MissingSchema
from requests.utils import get_environ_proxies
from urllib3.exceptions import ConnectTimeoutError, EmptyPoolError, NameResolutionError, NewConnectionError

from django_meetergo.exceptions import OutcomeUnknown, RemoteError, Unreachable, UnreadableReply
from django_meetergo.remote.answer import Answer
from django_meetergo.remote.deadline import Deadline
from django_meetergo.remote.errors import classify_answer, is_read, read_date
from django_meetergo.remote.pools import get_adapter

__all__ = ["PreparedCall", "get_adapter", "prepare_call", "send_once"]

# In bytes. A page of 100 appointments, or a month of five-minute spots with reasons, exceeds a mebibyte.
MAX_READ_BYTES = 4 * 1024 * 1024
MAX_WRITE_BYTES = 1024 * 1024
CHUNK_BYTES = 64 * 1024
# In seconds: a year. A date further away is odd and measures no clock.
MAX_CLOCK_SKEW = 366 * 24 * 3600

# With an adapter that does not report its stage, only these errors prove that nothing was sent.
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
    """A request that is ready to be sent. Error messages must not repeat the texts in ``hide``."""

    method: str
    route: str
    request: requests.PreparedRequest = field(repr=False)
    hide: tuple[str, ...] = field(repr=False)

    @property
    def url(self) -> str:
        return self.request.url or ""

    @property
    def max_bytes(self) -> int:
        """The size up to which a body is read."""
        return MAX_READ_BYTES if is_read(self.method) else MAX_WRITE_BYTES

    def build_error(self, kind: type[RemoteError], message: str) -> RemoteError:
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
    """Return the request, or None if it cannot be sent, for example because a header is malformed."""
    with contextlib.suppress(requests.RequestException, UnicodeError):
        for value in headers.values():
            value.encode("ascii")
        request = requests.Request(
            method, url, headers=dict(headers), params=list(params), json=json
        ).prepare()
        return PreparedCall(method=method, route=route, request=request, hide=hide)
    return None


def send_once(
    call: PreparedCall, find_adapter: Callable[[], BaseAdapter], *, ends: float
) -> Answer | RemoteError:
    """Return the answer, or the error that describes the failure.

    The error has no cause: the text of the original exception contains the whole address.
    """
    with Deadline(ends) as deadline:
        try:
            adapter, proxies = find_adapter(), get_environ_proxies(call.url, no_proxy=None)
        except Exception as error:  # noqa: BLE001 - the files and variables of a machine may be wrong
            return call.build_error(Unreachable, f"could not be sent ({type(error).__name__})")
        try:
            return _send_and_read(call, adapter, proxies, deadline)
        except Exception as error:  # noqa: BLE001 - every failure must be classified
            return _classify_error(call, error, deadline)


def _send_and_read(
    call: PreparedCall, adapter: BaseAdapter, proxies: Mapping[str, str], deadline: Deadline
) -> Answer | RemoteError:
    response = adapter.send(
        call.request,
        stream=True,
        timeout=(deadline.seconds_left, deadline.seconds_left),
        verify=True,
        proxies=proxies,
    )
    with contextlib.closing(response):
        body = _read_body(response, call.max_bytes)
    if body is None:
        return call.build_error(UnreadableReply, f"answered with more than {call.max_bytes} bytes")
    if deadline.is_over:
        # A socket that was shut down looks like the end of a body without a length.
        raise TimeoutError("the answer came too late")
    if not body and _has_no_framing(response):
        # For http.client headers end where the connection does, and a 400 without its text is no refusal.
        raise EOFError("the answer ended within its headers")
    return _read_answer(call, response, body)


def _read_body(response: requests.Response, max_bytes: int) -> bytes | None:
    """Return the whole body, or None as soon as it exceeds ``max_bytes``."""
    body = bytearray()
    for chunk in response.iter_content(CHUNK_BYTES):
        body += chunk
        if len(body) > max_bytes:
            return None
    return bytes(body)


def _has_no_framing(response: requests.Response) -> bool:
    """Whether nothing in the headers says where the body ends, as something does in a whole answer."""
    is_framed = "Content-Length" in response.headers or response.raw.chunked
    return response.status_code != HTTPStatus.NO_CONTENT and not is_framed


def _read_answer(call: PreparedCall, response: requests.Response, body: bytes) -> Answer | RemoteError:
    status = response.status_code
    if not 200 <= status < 300:
        return classify_answer(call.method, call.route, status, body, response.headers, hide=call.hide)
    return Answer(
        status=status,
        method=call.method,
        route=call.route,
        body=body,
        clock_skew=_read_clock_skew(response.headers),
    )


def _read_clock_skew(headers: Mapping[str, str]) -> float | None:
    """Return how many seconds the sender's clock is ahead of ours; None without a date of this moment."""
    moment = read_date(headers.get("Date", ""))
    if moment is None or headers.get("Age", "0") != "0":
        return None  # an answer that a cache has kept is as old as its date
    skew = (moment - datetime.now(UTC)).total_seconds()
    return skew if abs(skew) <= MAX_CLOCK_SKEW else None


def _classify_error(call: PreparedCall, error: Exception, deadline: Deadline) -> RemoteError:
    """Classify a connection failure. A write has an unknown outcome unless nothing was sent for certain."""
    if isinstance(error, RemoteError):
        return error  # an adapter of the test kit refused the call and says why
    causes = list(_list_causes(error))
    why = "the deadline is over" if deadline.is_over else type(causes[-1]).__name__
    if _was_never_sent(causes, deadline):
        return call.build_error(Unreachable, f"could not be sent ({why})")
    kind = Unreachable if is_read(call.method) else OutcomeUnknown
    return call.build_error(kind, f"no usable answer ({why})")


def _was_never_sent(causes: list[BaseException], deadline: Deadline) -> bool:
    if deadline.stage:
        return deadline.stage == "connecting"
    return any(isinstance(cause, NOT_SENT_ERRORS) for cause in causes)


def _list_causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and what it wraps: as cause, as context, as an argument or as ``reason``."""
    seen: set[int] = set()
    pending: list[object] = [error]
    while pending:
        cause = pending.pop(0)
        if isinstance(cause, BaseException) and id(cause) not in seen:
            seen.add(id(cause))
            yield cause
            pending += [cause.__cause__, cause.__context__, getattr(cause, "reason", None), *cause.args]
