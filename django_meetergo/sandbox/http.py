"""Requests and answers, between WSGI and the handlers."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import format_datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs
from wsgiref.types import WSGIEnvironment

from django_meetergo.sandbox.records import Refused

MAX_BODY = 1024 * 1024
LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "[::1]", "::1"})


@dataclass
class Request:
    """What a caller sent."""

    method: str
    path: str
    query: dict[str, list[str]]
    environ: WSGIEnvironment
    body: bytes

    def one(self, name: str) -> str | None:
        """The last value of a query parameter; None when it is missing or empty."""
        values = [value for value in self.query.get(name, []) if value]
        return values[-1] if values else None

    def many(self, name: str) -> list[str]:
        """All values: repeated keys, ``name[]`` and comma lists are taken alike."""
        values = self.query.get(name, []) + self.query.get(f"{name}[]", [])
        return [part for value in values for part in value.split(",") if part]

    def flag(self, name: str) -> bool:
        """Whether a query parameter says yes."""
        return (self.one(name) or "").lower() in {"true", "1"}

    def header(self, name: str) -> str | None:
        """A header by name."""
        value = self.environ.get("HTTP_" + name.upper().replace("-", "_"))
        return value if isinstance(value, str) and value else None

    def json(self) -> dict[str, Any]:
        """The body as an object; an empty body is an empty object."""
        if not self.body.strip():
            return {}
        try:
            document = json.loads(self.body)
        except ValueError as error:
            raise Refused(400, "The body is not valid JSON") from error
        if not isinstance(document, dict):
            raise Refused(400, ["the body must be an object"])
        return document

    def is_from_here(self) -> bool:
        """Whether the caller addressed this computer by its own name, and no foreign page sent them."""
        origin = self.header("Origin")
        if origin is not None and not _is_local(origin.partition("://")[2]):
            return False
        return _is_local(self.header("Host") or "")


def _is_local(host: str) -> bool:
    name = host if host.endswith("]") else host.rpartition(":")[0] or host
    return name in LOCAL_HOSTS or name.endswith(".localhost") or name == "testserver"


def read_request(environ: WSGIEnvironment) -> Request:
    """The request behind a WSGI environment."""
    try:
        length = int(environ.get("CONTENT_LENGTH") or 0)
    except ValueError:
        length = 0
    body = environ["wsgi.input"].read(length) if length > 0 else b""
    # WSGI hands paths over as latin-1; the service speaks UTF-8.
    path = str(environ.get("PATH_INFO") or "/").encode("latin-1", "replace").decode("utf-8", "replace")
    query = parse_qs(str(environ.get("QUERY_STRING") or ""), keep_blank_values=True)
    return Request(str(environ.get("REQUEST_METHOD", "GET")).upper(), path, query, environ, body)


@dataclass
class Answer:
    """What goes back. ``pieces`` overrides the body where it has to be sent in a special way."""

    status: int
    body: bytes = b""
    content_type: str = "application/json; charset=utf-8"
    headers: dict[str, str] = field(default_factory=dict)
    pieces: Iterable[bytes] | None = None
    declared_length: int | None = None
    date_offset: float = 0.0

    @property
    def status_line(self) -> str:
        try:
            return f"{self.status} {HTTPStatus(self.status).phrase}"
        except ValueError:
            return f"{self.status} Unknown"

    def header_list(self, now: datetime) -> list[tuple[str, str]]:
        """All headers, the date among them."""
        length = len(self.body) if self.declared_length is None else self.declared_length
        date = format_datetime(now + timedelta(seconds=self.date_offset), usegmt=True)
        headers = {"Date": date, **self.headers}
        if self.body or self.declared_length is not None:
            headers["Content-Type"] = self.content_type
        if self.status != HTTPStatus.NO_CONTENT:
            headers["Content-Length"] = str(length)
        return list(headers.items())


def answer_json(document: Any, status: int = 200) -> Answer:
    """A JSON answer."""
    return Answer(status, json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode())


def answer_error(status: int, message: str | list[str], **extra: Any) -> Answer:
    """An error body as the service words it."""
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Error"
    return answer_json({"statusCode": status, "message": message, "error": phrase, **extra}, status)


def answer_page(html: str, status: int = 200) -> Answer:
    """An HTML page that may load nothing and be framed by nobody."""
    policy = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'"
    return Answer(status, html.encode(), "text/html; charset=utf-8", {"Content-Security-Policy": policy})
