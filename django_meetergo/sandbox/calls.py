"""The last requests with their bodies, for the dashboard. Secrets are blanked before anything is kept."""

from __future__ import annotations

import json
import re
import threading
from collections import deque
from dataclasses import dataclass

from django_meetergo.sandbox.deliveries import hide_path
from django_meetergo.sandbox.http import Request, Response

MAX_CALLS = 100
MAX_BODY = 4_000  # characters

_SECRET = re.compile(r'("secret"\s*:\s*")[^"]*')
_ENDPOINT = re.compile(r'("endpoint"\s*:\s*")([^"]*)')


@dataclass(frozen=True)
class Call:
    """A request and what became of it."""

    number: int
    at: str
    method: str
    path: str
    query: str
    result: str
    fault: str
    sent: str
    answered: str


class Calls:
    """The last calls, newest last."""

    def __init__(self) -> None:
        self._calls: deque[Call] = deque(maxlen=MAX_CALLS)
        self._lock = threading.Lock()

    def add(
        self,
        request: Request,
        response: Response | None,
        *,
        number: int,
        at: str,
        path: str,
        result: str,
        fault: str | None,
    ) -> None:
        """Keep a call; ``path`` is that of the request, with its secrets blanked."""
        call = Call(
            number=number,
            at=at,
            method=request.method,
            path=path,
            query=str(request.environ.get("QUERY_STRING") or ""),
            result=result,
            fault=fault or "",
            sent=_read_body(request.body),
            answered="" if response is None else _read_body(response.body),
        )
        with self._lock:
            self._calls.append(call)

    def list_newest_first(self) -> list[Call]:
        """Return the last calls."""
        with self._lock:
            return list(reversed(self._calls))

    def clear(self) -> None:
        """Remove all of them."""
        with self._lock:
            self._calls.clear()


def _read_body(body: bytes) -> str:
    text = body[:MAX_BODY].decode("utf-8", "replace")
    text = _SECRET.sub(r"\1***", text)
    return _ENDPOINT.sub(lambda found: found[1] + hide_path(found[2]), text)


def print_body(text: str) -> str:
    """Return a body with one member a line, if it is JSON."""
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text
