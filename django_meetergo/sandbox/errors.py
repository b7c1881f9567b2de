"""Refusals: the 4xx and 5xx responses a handler can end with."""

from __future__ import annotations

from typing import Any


class Refused(Exception):
    """The request is refused; carries the status and the body of the response.

    ``message`` is one text or, for validation, a list of texts. ``extra`` adds keys to the body; its key
    ``headers`` adds response headers instead.
    """

    def __init__(self, status: int, message: str | list[str], **extra: Any) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.extra = extra


def slot_occupied() -> Refused:
    """Return the refusal for a time that is booked or was never offered."""
    return Refused(400, "The selected time slot is no longer available", errorCode="slot-occupied")
