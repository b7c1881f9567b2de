"""Adapters that send requests to a sandbox in this process, or refuse them."""

from __future__ import annotations

import io
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit
from wsgiref.util import setup_testing_defaults

import requests
from requests.adapters import BaseAdapter, HTTPAdapter
from urllib3 import HTTPHeaderDict, HTTPResponse
from urllib3.exceptions import NewConnectionError, ProtocolError

from django_meetergo.exceptions import Unreachable
from django_meetergo.sandbox.faults import ConnectionClosed, ConnectionStalled


class RefusedHost(Unreachable):
    """A test was about to call a real host. Nothing was sent."""


class ProcessKilled(BaseException):
    """Stands for the end of the process. No handler of ``Exception`` catches it."""


class SandboxAdapter(BaseAdapter):
    """A transport adapter that answers from a WSGI callable, as the network would."""

    def __init__(self, wsgi: Any) -> None:
        super().__init__()
        self.wsgi = wsgi
        #: How many of the next connections are refused, so that nothing is sent.
        self.refusals = 0
        #: Whether the process "dies" at the next request: ``before`` it is sent, or ``after`` it was
        #: carried out and before its answer is read.
        self.kill_point = ""
        self._builder = HTTPAdapter()

    def send(  # type: ignore[override]
        self, request: requests.PreparedRequest, **kwargs: Any
    ) -> requests.Response:
        """Return the response, or raise what ``requests`` raises for a closed or stalled connection."""
        if self.refusals:
            self.refusals -= 1
            refused = NewConnectionError(None, "the connection was refused")  # type: ignore[arg-type]
            raise requests.ConnectionError(refused, request=request) from refused
        kill_point, self.kill_point = self.kill_point, ""
        if kill_point == "before":
            raise ProcessKilled
        try:
            status, headers, body = call_wsgi(self.wsgi, request)
        except ConnectionStalled as stalled:
            raise requests.ReadTimeout("the sandbox does not answer", request=request) from stalled
        except ConnectionClosed as closed:
            aborted = ProtocolError("the sandbox closed the connection", ConnectionResetError())
            raise requests.ConnectionError(aborted, request=request) from closed
        if kill_point:
            raise ProcessKilled
        raw = HTTPResponse(
            body=io.BytesIO(body), headers=HTTPHeaderDict(headers), status=status, preload_content=False
        )
        return self._builder.build_response(request, raw)

    def close(self) -> None:
        """Do nothing: no connection is open."""


class ClosedAdapter(BaseAdapter):
    """A transport adapter that refuses every request to a real host."""

    def send(  # type: ignore[override]
        self, request: requests.PreparedRequest, **kwargs: Any
    ) -> requests.Response:
        host = urlsplit(request.url or "").hostname
        raise RefusedHost(f"A test was about to call {host}. Use the fixture meetergo_sandbox.")

    def close(self) -> None:
        """Do nothing: no connection is open."""


def call_wsgi(wsgi: Any, request: requests.PreparedRequest) -> tuple[int, list[tuple[str, str]], bytes]:
    """Return the status, headers and body that a WSGI callable answers."""
    answered: dict[str, Any] = {}

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
        answered.update(status=int(status.split()[0]), headers=headers)

    chunks = wsgi(build_environ(request), start_response)
    try:
        body = b"".join(chunks)
    finally:
        if hasattr(chunks, "close"):
            chunks.close()
    return answered.get("status", HTTPStatus.INTERNAL_SERVER_ERROR), answered.get("headers", []), body


def build_environ(request: requests.PreparedRequest) -> dict[str, Any]:
    parts = urlsplit(request.url or "")
    body = request.body or b""
    body = body.encode() if isinstance(body, str) else body
    environ: dict[str, Any] = {
        "REQUEST_METHOD": request.method,
        "PATH_INFO": unquote_to_bytes(parts.path).decode("latin-1"),
        "QUERY_STRING": parts.query,
        "SERVER_PORT": "8787",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
    }
    for name, value in request.headers.items():
        value = value.decode() if isinstance(value, bytes) else value
        key = name.upper().replace("-", "_")
        environ[key if key == "CONTENT_TYPE" else f"HTTP_{key}"] = value
    environ.setdefault("CONTENT_TYPE", "")
    environ["HTTP_HOST"] = "127.0.0.1:8787"
    setup_testing_defaults(environ)
    return environ
