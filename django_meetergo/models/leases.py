"""Rows that a worker can take, one worker at a time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self, TypeVar
from uuid import UUID, uuid4

from django.db import models
from django.db.models import Q


@dataclass(frozen=True)
class Lease:
    """Proof that a row is ours until its lease runs out."""

    pk: int
    token: UUID


Row = TypeVar("Row", bound=models.Model)


class LeasedQuerySet(models.QuerySet[Row]):
    """A set of rows that knows which are due, and how one is taken and given back."""

    def due(self, now: datetime) -> Self:
        """Rows whose time has come and that nobody holds."""
        return self.filter(Q(lease_until=None) | Q(lease_until__lt=now), next_at__lte=now)

    def claim(self, pk: int, *, now: datetime, lease: timedelta, **changes: Any) -> Lease | None:
        """Take a row of this set, narrowed to one state; None if another was faster."""
        free = Q(lease_until=None) | Q(lease_until__lt=now)
        token = uuid4()
        won = self.filter(free, pk=pk).update(lease_token=token, lease_until=now + lease, **changes)
        return Lease(pk, token) if won else None

    def finish(self, lease: Lease, **changes: Any) -> bool:
        """Write a result and give the row back; False, and nothing written, if the lease was lost."""
        held = self.filter(pk=lease.pk, lease_token=lease.token)
        return bool(held.update(lease_token=None, lease_until=None, **changes))


class Leased(models.Model):
    """Work that survives a crash: whoever finds the lease run out goes on with it."""

    lease_token = models.UUIDField(null=True, editable=False)
    lease_until = models.DateTimeField(null=True, editable=False)
    next_at = models.DateTimeField(null=True, db_index=True, editable=False)
    tries = models.PositiveIntegerField(default=0, editable=False)

    objects = LeasedQuerySet.as_manager()

    class Meta:
        abstract = True
