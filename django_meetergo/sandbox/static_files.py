"""The stylesheet and the script of the sandbox's pages."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from django_meetergo.sandbox.http import Response, error_response

FOLDER = Path(__file__).parent / "static"
TYPES = {"sandbox.css": "text/css; charset=utf-8", "sandbox.js": "text/javascript; charset=utf-8"}


def respond(name: str) -> Response:
    """Return one of the files."""
    if name not in TYPES:
        return error_response(404, f"There is no file {name}")
    return Response(200, _read(name), TYPES[name], {"Cache-Control": "no-cache"})


@cache
def _read(name: str) -> bytes:
    return (FOLDER / name).read_bytes()
