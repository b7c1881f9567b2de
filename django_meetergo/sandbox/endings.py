"""What the endings among the faults do to a request and its response."""

from __future__ import annotations

import time
from collections.abc import Iterator

from django_meetergo.sandbox.faults import ConnectionClosed, ConnectionStalled, Fault, MalformedReply
from django_meetergo.sandbox.http import Request, Response, error_response

DRIP_PIECES = 20


def end_before(fault: Fault) -> Response | None:
    """Apply an ending that comes before the request is carried out.

    Return the response that replaces the handler's, or None if the request is to be handled.
    """
    if fault.kind in {"drop_before", "reset_before"}:
        raise ConnectionClosed(reset=fault.kind == "reset_before")
    if fault.kind == "hang_before":
        raise ConnectionStalled(fault.seconds)
    if fault.kind == "status_before":
        return build_fault_response(fault)
    if fault.kind == "slow":
        time.sleep(fault.seconds)
    return None


def end_after(fault: Fault, response: Response, request: Request) -> Response:
    """Apply an ending that comes after the request was carried out; return what is sent instead."""
    if fault.kind in {"drop_after", "reset_after"}:
        raise ConnectionClosed(applied=True, reset=fault.kind == "reset_after")
    if fault.kind == "hang_after":
        raise ConnectionStalled(fault.seconds, applied=True)
    if fault.kind == "bad_status_line":
        raise MalformedReply((fault.body or "NOT-HTTP ???\r\n\r\n").encode(), applied=True)
    if fault.kind == "status_after":
        return build_fault_response(fault)
    _spoil(fault, response, request)
    return response


def build_fault_response(fault: Fault) -> Response:
    """Return the error response a fault asks for; 503 if it names no status."""
    response = error_response(fault.status or 503, "The sandbox was told to fail")
    if fault.body is not None:
        response.body = fault.body.encode()
    if fault.retry_after is not None:
        response.headers["Retry-After"] = fault.retry_after
    return response


def describe_ending(end: ConnectionClosed) -> str:
    """Return the word the log uses for a connection that ended without a response."""
    if isinstance(end, MalformedReply):
        return "malformed"
    if isinstance(end, ConnectionStalled):
        return "stalled"
    return "reset" if end.reset else "dropped"


def _spoil(fault: Fault, response: Response, request: Request) -> None:
    if fault.kind == "empty":
        response.body = b""
    elif fault.kind == "garbage":
        page = fault.body or "<!doctype html><title>Gateway</title><p>Please come back later."
        response.body = page.encode()
        response.content_type = "text/html; charset=utf-8"
    elif fault.kind == "oversized":
        response.body += b" " * fault.size
    elif fault.kind == "cut":
        response.declared_length = len(response.body)
        response.pieces = [response.body[: len(response.body) // 2]]
    elif fault.kind == "drip":
        _drip(fault, response, request)


def _drip(fault: Fault, response: Response, request: Request) -> None:
    if fault.part == "body":
        response.pieces = _send_slowly(response.body, fault.seconds)
        return
    # Only the server can send headers slowly; in-process callers just wait.
    drip_headers = request.environ.get("sandbox.drip_headers")
    if callable(drip_headers):
        drip_headers(fault.seconds)
    else:
        time.sleep(fault.seconds)


def _send_slowly(body: bytes, seconds: float) -> Iterator[bytes]:
    size = max(1, -(-len(body) // DRIP_PIECES))
    for start in range(0, len(body), size):
        time.sleep(seconds / DRIP_PIECES)
        yield body[start : start + size]
