"""Who may see and change which appointments."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_backends
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import PermissionsMixin

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


def may_list(user: Any) -> bool:
    """Whether somebody may see appointments at all.

    Django's own backend reads everything that the user was granted, and then everything that the groups were.
    Where it alone decides, it is asked the one question in one statement.
    """
    if not decides_alone(user) or user.is_superuser:
        return may(user, VIEW)
    [name] = VIEW
    return bool(ModelBackend().with_perm(name).filter(pk=user.pk).exists())


def decides_alone(user: Any) -> bool:
    """Whether Django's own backend is the only one, and the site's user class leaves the decision to it."""
    is_plain = getattr(type(user), "has_perm", None) is PermissionsMixin.has_perm
    return is_plain and [type(backend) for backend in get_backends()] == [ModelBackend]
