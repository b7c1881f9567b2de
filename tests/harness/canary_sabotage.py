"""Ways to let secrets out on purpose: a search that misses one proves nothing."""

from __future__ import annotations

import logging
from typing import Any
from uuid import UUID


def let_pass(self: Any, record: logging.LogRecord) -> bool:
    """Replace ``MaskTokens.filter``."""
    return True


def send_and_log_person(booking: Any, client: Any, now: Any, lease: Any = None) -> Any:
    """Replace ``send_now``: a log line names the attendee."""
    from django_meetergo.services.booking.sending import send_booking

    logging.getLogger("django_meetergo").info("booking for %s", booking.email)
    return send_booking(booking=booking, client=client, now=now, is_interactive=True, lease=lease)


def believe(token: str, *, salt: str) -> UUID | None:
    """Replace ``links.unsign``: every signature is right."""
    try:
        return UUID(hex=token.partition("~")[0])
    except ValueError:
        return None


def keep_people(connection: str, documents: list[Any]) -> list[Any]:
    """Replace ``remove_erased_people``: nobody stays erased."""
    return documents
