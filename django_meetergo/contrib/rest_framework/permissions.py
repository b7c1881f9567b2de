"""Who may see and change which appointments."""

from __future__ import annotations

from typing import Any

VIEW = ("meetergo.view_appointment",)
#: Whoever may change appointments may do all of it; sites may grant less.
CANCEL = ("meetergo.change_appointment", "meetergo.cancel_appointment")
RESCHEDULE = ("meetergo.change_appointment", "meetergo.reschedule_appointment")
SYNC = ("meetergo.change_appointment", "meetergo.sync_appointment")


def may(user: Any, names: tuple[str, ...], row: Any = None) -> bool:
    """Whether one of these permissions was granted: for all rows, or for this one where a backend knows."""
    if any(user.has_perm(name) for name in names):
        return True
    return row is not None and any(user.has_perm(name, row) for name in names)
