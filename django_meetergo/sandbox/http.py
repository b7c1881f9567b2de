"""Requests and responses, between WSGI and the handlers."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import format_datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, parse_qsl
from wsgiref.types import WSGIEnvironment

from django_meetergo.sandbox.errors import Refused

MAX_BODY = 1024 * 1024
MAX_LEVELS = 100
FLAGS = {"true": True, "1": True, "false": False, "0": False}
LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "[::1]"})


@dataclass
class Request:
    """A request as the caller sent it."""

    method: str
    path: str
    query: dict[str, list[str]]
    environ: WSGIEnvironment
    body: bytes

    def get(self, name: str) -> str | None:
        """Return the last value of a query parameter; None if it is missing or empty."""
        values = [value for value in self.query.get(name, []) if value]
        return values[-1] if values else None

    def get_list(self, name: str) -> list[str]:
        """Return all values of a query parameter: repeated keys, ``name[]`` and comma lists alike."""
        values = self.query.get(name, []) + self.query.get(f"{name}[]", [])
        return [part for value in values for part in value.split(",") if part]

    def get_flag(self, name: str) -> bool:
        """Return a boolean query parameter, False if it is missing. Raises ``Refused`` for another value."""
        value = (self.get(name) or "false").lower()
        if value not in FLAGS:
            raise Refused(400, [f"{name} must be a boolean value"])
        return FLAGS[value]

    def header(self, name: str) -> str | None:
        """Return a header, or None if it is missing or empty."""
        value = self.environ.get("HTTP_" + name.upper().replace("-", "_"))
        return value if isinstance(value, str) and value else None

    def json(self) -> dict[str, Any]:
        """Return the body as an object; an empty body is an empty object. Raises ``Refused``."""
        if not self.body.strip():
            return {}
        try:
            document = json.loads(self.body)
            # What cannot be written again is refused: half of a character, a number without end.
            json.dumps(document, ensure_ascii=False, allow_nan=False).encode()
        except (ValueError, RecursionError) as error:
            raise Refused(400, "The body is not valid JSON") from error
        if not isinstance(document, dict):
            raise Refused(400, ["the body must be an object"])
        if _is_nested_deeper(document, MAX_LEVELS):
            raise Refused(400, "The body is nested too deep")
        return document

    def form(self) -> dict[str, str]:
        """Return the fields of a form; the last value of each counts, and empty ones are left out."""
        return dict(parse_qsl(self.body.decode("utf-8", "replace")))

    @property
    def is_form(self) -> bool:
        """Whether an HTML form sent the body."""
        content_type = str(self.environ.get("CONTENT_TYPE") or self.header("Content-Type") or "")
        return content_type.startswith("application/x-www-form-urlencoded")

    @property
    def is_local(self) -> bool:
        """Whether the request names this computer as its host and no page of another site sent it."""
        origin = self.header("Origin")
        if origin is not None and not _is_local_host(origin.partition("://")[2]):
            return False
        return _is_local_host(self.header("Host") or "")


def _is_nested_deeper(value: Any, levels: int) -> bool:
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return not levels or any(_is_nested_deeper(child, levels - 1) for child in children)


def _is_local_host(host: str) -> bool:
    name = (host if host.endswith("]") else host.rpartition(":")[0] or host).lower()
    return name in LOCAL_HOSTS or name.endswith(".localhost")


def read_request(environ: WSGIEnvironment) -> Request:
    """Build a request from a WSGI environment."""
    try:
        length = int(environ.get("CONTENT_LENGTH") or 0)
    except ValueError:
        length = 0
    body = environ["wsgi.input"].read(length) if length > 0 else b""
    # WSGI decodes paths as latin-1; the service uses UTF-8.
    path = str(environ.get("PATH_INFO") or "/").encode("latin-1", "replace").decode("utf-8", "replace")
    query = parse_qs(str(environ.get("QUERY_STRING") or ""), keep_blank_values=True)
    return Request(str(environ.get("REQUEST_METHOD", "GET")).upper(), path, query, environ, body)


@dataclass
class Response:
    """A response. ``pieces`` replaces the body where it is sent piece by piece."""

    status: int
    body: bytes = b""
    content_type: str = "application/json; charset=utf-8"
    headers: dict[str, str] = field(default_factory=dict)
    pieces: Iterable[bytes] | None = None
    declared_length: int | None = None  # Content-Length, where it differs from the body's length
    date_offset: float = 0.0  # seconds by which the Date header is wrong

    @property
    def status_line(self) -> str:
        try:
            return f"{self.status} {HTTPStatus(self.status).phrase}"
        except ValueError:
            return f"{self.status} Unknown"

    @property
    def has_body(self) -> bool:
        """Whether a response with this status may have one."""
        return self.status not in {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED}

    def header_list(self, now: datetime) -> list[tuple[str, str]]:
        """Return all headers, with ``now`` as the date."""
        length = len(self.body) if self.declared_length is None else self.declared_length
        date = format_datetime(now + timedelta(seconds=self.date_offset), usegmt=True)
        headers = {"Date": date, **self.headers}
        if self.has_body:
            headers["Content-Length"] = str(length)
            if self.body or self.declared_length is not None:
                headers["Content-Type"] = self.content_type
        return list(headers.items())


def json_response(document: Any, status: int = 200) -> Response:
    """Return a JSON response."""
    return Response(status, json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode())


def error_response(status: int, message: str | list[str], **extra: Any) -> Response:
    """Return an error in the service's form."""
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Error"
    return json_response({"statusCode": status, "message": message, "error": phrase, **extra}, status)


def foreign_host_response() -> Response:
    """Return the refusal of a request that names another host, or that a page of another site sent.

    Without it a page in a developer's browser could read the sandbox by DNS rebinding: its tokens are public.
    """
    return error_response(403, "The sandbox answers only to its own address on this computer")


def html_response(html: str, status: int = 200) -> Response:
    """Return an HTML page that loads nothing from elsewhere and cannot be framed."""
    policy = (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    # "replace", since the dashboard shows bodies with half characters, which were refused.
    body = html.encode(errors="replace")
    return Response(status, body, "text/html; charset=utf-8", {"Content-Security-Policy": policy})
