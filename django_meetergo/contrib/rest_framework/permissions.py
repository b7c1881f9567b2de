"""Who may see and change which appointments."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_backends
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import PermissionsMixin

VIEW = ("meetergo.view_appointment",)
#: ``change_appointment`` covers every action; a site may grant the narrower ones instead.
CANCEL = ("meetergo.change_appointment", "meetergo.cancel_appointment")
RESCHEDULE = ("meetergo.change_appointment", "meetergo.reschedule_appointment")
SYNC = ("meetergo.change_appointment", "meetergo.sync_appointment")


def has_any_permission(user: Any, names: tuple[str, ...], row: Any = None) -> bool:
    """Whether one of the permissions was granted for all rows, or by some backend for this row."""
    if any(user.has_perm(name) for name in names):
        return True
    return row is not None and any(user.has_perm(name, row) for name in names)


def can_list(user: Any) -> bool:
    """Whether the user may see the list of appointments.

    ``has_perm`` of Django's own backend reads all permissions of user and groups in two statements.
    Where that backend decides alone, one statement asks for this permission.
    """
    if not is_decided_by_model_backend(user) or user.is_superuser:
        return has_any_permission(user, VIEW)
    [name] = VIEW
    return bool(ModelBackend().with_perm(name).filter(pk=user.pk).exists())


def is_decided_by_model_backend(user: Any) -> bool:
    """Whether ModelBackend is the only backend and the user class does not override ``has_perm``."""
    is_plain = getattr(type(user), "has_perm", None) is PermissionsMixin.has_perm
    return is_plain and [type(backend) for backend in get_backends()] == [ModelBackend]
