"""Re-encrypt every stored secret with the first encryption key."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db import models
from django.db.models import F, TextField
from django.db.models.functions import Cast

from django_meetergo.fields import UnreadableText, build_cipher, get_encryption_keys
from django_meetergo.models import Appointment, Connection
from django_meetergo.models.connections import CANARY_TEXT
from django_meetergo.transactions import write_transaction

if TYPE_CHECKING:
    from cryptography.fernet import MultiFernet

BATCH_SIZE = 500

#: Every encrypted column, and what replaces a value that is lost. A sync reads lost secrets again.
#: The canaries come last: they show that all others have the first key.
ENCRYPTED_COLUMNS: tuple[tuple[type[models.Model], str, str], ...] = (
    (Appointment, "secret", ""),
    (Connection, "canary", CANARY_TEXT),
)


@dataclass(kw_only=True)
class Rotation:
    """How many secrets were re-encrypted, had the first key already, and fit no key."""

    rotated: int = 0
    current: int = 0
    unreadable: int = 0


def rotate_keys(*, discard: bool = False, on_batch: Callable[[Rotation], None] | None = None) -> Rotation:
    """Re-encrypt every secret that has another key than the first. An interrupted run can be repeated.

    ``discard`` replaces secrets that no key decrypts; without it they are left alone.
    """
    report = Rotation()
    newest = build_cipher(get_encryption_keys()[:1])
    for model, column, replacement in ENCRYPTED_COLUMNS:
        last = 0
        while batch := read_batch(model, column, after=last):
            last = batch[-1].pk
            lost = [row for row in batch if isinstance(getattr(row, column), UnreadableText)]
            if discard:
                for row in lost:
                    setattr(row, column, replacement)
            else:
                batch = [row for row in batch if row not in lost]
                report.unreadable += len(lost)
            rotate_batch(model, column, batch, newest, report)
            if on_batch:
                on_batch(report)
    return report


def read_batch(model: type[models.Model], column: str, *, after: int) -> list[Any]:
    """Return rows with the decrypted secret in its column and the ciphertext in ``stored``."""
    filled = model._default_manager.exclude(**{column: ""}).filter(pk__gt=after)
    rows = filled.only("pk", column).annotate(stored=Cast(F(column), TextField()))
    return list(rows.order_by("pk")[:BATCH_SIZE])


def rotate_batch(
    model: type[models.Model], column: str, batch: list[Any], newest: MultiFernet, report: Rotation
) -> None:
    outdated = []
    for row in batch:
        if is_encrypted_with(newest, row.stored):
            report.current += 1
        else:
            outdated.append(row)
    if not outdated:
        return
    with write_transaction():
        # A secret that has changed since it was read is encrypted with the first key already.
        stored = dict(
            model._default_manager.select_for_update()
            .filter(pk__in=[row.pk for row in outdated])
            .annotate(stored=Cast(F(column), TextField()))
            .values_list("pk", "stored")
        )
        unchanged = [row for row in outdated if stored.get(row.pk) == row.stored]
        model._default_manager.bulk_update(unchanged, [column])
    report.rotated += len(outdated)


def is_encrypted_with(key: MultiFernet, token: str) -> bool:
    from cryptography.fernet import InvalidToken

    try:
        key.decrypt(token.encode())
    except InvalidToken:
        return False
    return True


def needs_rotation() -> bool:
    """Return whether secrets were stored under another key than the first, as the canaries show."""
    newest = build_cipher(get_encryption_keys()[:1])
    return any(not is_encrypted_with(newest, row.stored) for row in read_batch(Connection, "canary", after=0))
