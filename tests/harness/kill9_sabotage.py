"""Ways to handle a dead process's work wrongly: a torture that misses one proves nothing."""

from __future__ import annotations

from datetime import datetime
from typing import Any


def find_free_rows_only(self: Any, now: datetime) -> Any:
    """Replace ``LeasedQuerySet.due``: what a dead process held is never taken over."""
    return self.filter(lease_until=None, next_at__lte=now)


def send_again(booking: Any, now: datetime) -> None:
    """Replace ``mark_interrupted``: a booking whose process died is sent once more."""
    from django_meetergo.models import Booking

    interrupted = Booking.objects.filter(pk=booking.pk, state="sending", lease_until__lt=now)
    interrupted.update(state="received", lease_token=None, lease_until=None, next_at=now)


def keep_surplus(booking: Any, document: Any, now: datetime) -> None:
    """Replace ``cancel_surplus``: what was booked twice stays, instead of being cancelled later."""
