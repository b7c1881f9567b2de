"""Ways to use more and more: a measurement that misses one proves nothing."""

from __future__ import annotations

import os
import threading
from datetime import datetime
from typing import Any

kept: list[object] = []


def send(booking: Any, client: Any, now: datetime, lease: Any) -> Any:
    from django_meetergo.services.booking.sending import send_booking

    return send_booking(booking=booking, client=client, now=now, is_interactive=True, lease=lease)


def keep_memory(booking: Any, client: Any, now: datetime, lease: Any = None) -> Any:
    """Replace ``send_now``: every booking keeps some mebibytes."""
    kept.append(bytearray(os.urandom(4 * 2**20)))
    return send(booking, client, now, lease)


def keep_threads(booking: Any, client: Any, now: datetime, lease: Any = None) -> Any:
    """Replace ``send_now``: every booking leaves a thread."""
    threading.Thread(target=threading.Event().wait, daemon=True).start()
    return send(booking, client, now, lease)


def keep_files(booking: Any, client: Any, now: datetime, lease: Any = None) -> Any:
    """Replace ``send_now``: every booking leaves a file open."""
    kept.append(os.open(os.devnull, os.O_RDONLY))
    return send(booking, client, now, lease)


def keep_rows(*, now: datetime) -> dict[str, int]:
    """Replace ``prune``: nothing is ever deleted."""
    return {}
