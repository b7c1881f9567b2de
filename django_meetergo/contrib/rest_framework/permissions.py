"""Who may see and change which appointments."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_backends
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import Permission, PermissionsMixin
from django.db.models import Q

#: Shows the appointments of the user's own hosts only.
VIEW_OWN = "meetergo.view_own_appointment"
VIEW = ("meetergo.view_appointment", VIEW_OWN)
#: Those of the admin's actions: ``change_appointment`` allows to record who came, and nothing of these.
CANCEL = ("meetergo.cancel_appointment",)
RESCHEDULE = ("meetergo.reschedule_appointment",)
SYNC = ("meetergo.sync_appointment",)


def has_any_permission(user: Any, names: tuple[str, ...], row: Any = None) -> bool:
    """Whether one of the permissions was granted for all rows, or by some backend for this row."""
    if any(user.has_perm(name) for name in names):
        return True
    return row is not None and any(user.has_perm(name, row) for name in names)


def list_view_permissions(user: Any) -> set[str]:
    """Return the permissions of ``VIEW`` that the user holds for all rows.

    ``has_perm`` of Django's own backend reads all permissions of user and groups in two statements.
    Where that backend decides alone, one statement asks for these permissions.
    """
    if not is_decided_by_model_backend(user) or user.is_superuser or not user.is_active:
        return {name for name in VIEW if user.has_perm(name)}
    # A user model may have its permissions and groups under names of its own.
    own, groups = (name_backwards(user, relation) for relation in ("user_permissions", "groups"))
    granted = Permission.objects.filter(Q((own, user.pk)) | Q((f"group__{groups}", user.pk))).order_by()
    names = granted.filter(
        content_type__app_label="meetergo", codename__in=[name.partition(".")[2] for name in VIEW]
    )
    return {f"meetergo.{name}" for name in names.values_list("codename", flat=True)}


def name_backwards(user: Any, relation: str) -> str:
    """Return the name by which queries follow a relation of the user model back to the user."""
    name: str = user._meta.get_field(relation).related_query_name()
    return name


def is_decided_by_model_backend(user: Any) -> bool:
    """Whether ModelBackend is the only backend and the user class does not override ``has_perm``."""
    is_plain = getattr(type(user), "has_perm", None) is PermissionsMixin.has_perm
    return is_plain and [type(backend) for backend in get_backends()] == [ModelBackend]
