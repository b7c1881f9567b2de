"""Rows that one worker at a time may claim."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self, TypeVar
from uuid import UUID, uuid4

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from django_meetergo.conf import get_settings
from django_meetergo.lookups import find_one


@dataclass(frozen=True)
class Lease:
    """Proof that a worker holds a row until its lease expires."""

    pk: int
    token: UUID


Row = TypeVar("Row", bound=models.Model)


class LeasedQuerySet(models.QuerySet[Row]):
    """Find due rows, claim one, and release it with a result."""

    def free(self, now: datetime) -> Self:
        """Return rows that no worker holds."""
        return self.filter(Q(lease_until=None) | Q(lease_until__lt=now))

    def due(self, now: datetime) -> Self:
        """Return rows that are due and that no worker holds."""
        return self.free(now).filter(next_at__lte=now)

    def claim(self, pk: int, *, now: datetime, **changes: Any) -> Lease | None:
        """Claim a row of this queryset for ``LEASE`` and apply ``changes``; None if another worker holds it.

        Filter the queryset by state first: a row that has left the state is not claimed.
        """
        token, until = uuid4(), now + get_settings().lease
        updated = self.free(now).filter(pk=pk).update(lease_token=token, lease_until=until, **changes)
        return Lease(pk, token) if updated else None

    def held(self, lease: Lease) -> Self:
        """Return the row of a lease, as long as it is held: by its key, since tokens have no index."""
        return self.filter(pk=lease.pk, lease_token=lease.token)

    def lock_held(self, lease: Lease) -> Row | None:
        """Return the row of a lease, locked, to write its result; None if the lease was lost."""
        return find_one(self.select_for_update().held(lease))

    def finish(self, lease: Lease, **changes: Any) -> bool:
        """Store a result and release the row; return False, and store nothing, if the lease was lost."""
        return bool(self.held(lease).update(lease_token=None, lease_until=None, **changes))


class Leased(models.Model):
    """Work that survives a crash: when its lease expires, another worker may claim it.

    ``tries`` counts sends and other work, ``polls`` counts re-reads, ``failing_since`` is the time of the
    first of the present series of failures. ``services.retry`` computes all three and ``next_at``.
    """

    lease_token = models.UUIDField(null=True, editable=False)
    lease_until = models.DateTimeField(null=True, editable=False)
    next_at = models.DateTimeField(_("next attempt at"), null=True, db_index=True, editable=False)
    tries = models.PositiveIntegerField(_("attempts"), default=0, editable=False)
    polls = models.PositiveIntegerField(default=0, editable=False)
    failing_since = models.DateTimeField(null=True, editable=False)

    objects = LeasedQuerySet.as_manager()

    class Meta:
        abstract = True
