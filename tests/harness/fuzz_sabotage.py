"""Ways to accept what must be refused: fuzzing that misses one proves nothing."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any
from uuid import UUID


def believe(token: str, *, salt: str) -> UUID | None:
    """Replace ``links.unsign``: every signature is right."""
    try:
        return UUID(hex=token.partition("~")[0])
    except ValueError:
        return None


def know_any(token: str) -> str:
    """Replace ``find_connection``: every token is known."""
    return "default"


def apply_at_once(*, connection: str, body: bytes, now: datetime) -> None:
    """Replace ``receive_delivery``: what a delivery says is true."""
    from django_meetergo.exceptions import InvalidRequest
    from django_meetergo.models import Appointment

    try:
        document: Any = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest("no JSON", field="body") from error
    if isinstance(document, dict) and document.get("webhookType") == "booking_cancelled":
        rows = Appointment.objects.filter(
            connection=connection, remote_id=str(document.get("id")).replace("\x00", "")
        )
        rows.update(status="cancelled")


def parse_carelessly(text: str) -> datetime:
    """Replace ``parse_start``: a text is a time."""
    return datetime.fromisoformat(text)
