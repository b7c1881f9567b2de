"""What a wish and an attendee have in common: a person."""

from __future__ import annotations

import uuid
from typing import Any

from django.conf import settings
from django.contrib.contenttypes.fields import GenericForeignKey
from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.db.models.functions import Lower
from django.utils.translation import gettext_lazy as _

PREFIX_OPCLASS = "varchar_pattern_ops"


def fold_email(email: str) -> str:
    """The form in which two spellings of one address are equal."""
    return email.strip().casefold()


def build_lower_column(column: str) -> models.GeneratedField:
    """A name in lower case, to be searched by how it begins."""
    folded: models.CharField[str, str] = models.CharField(max_length=150)
    return models.GeneratedField(expression=Lower(column), output_field=folded, db_persist=True)


def index_names(table: str) -> list[models.Index]:
    """Indexes that find names by how they begin; the opclass is what PostgreSQL needs for that."""
    return [
        models.Index(fields=[f"{which}_folded"], name=f"meetergo_{table}_{which}", opclasses=[PREFIX_OPCLASS])
        for which in ("first", "last")
    ]


class Person(models.Model):
    """Somebody who wants or has an appointment, and what the site ties to them."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    first_name = models.CharField(_("first name"), max_length=150, blank=True)
    last_name = models.CharField(_("last name"), max_length=150, blank=True)
    email = models.CharField(_("e-mail address"), max_length=254, blank=True)
    email_folded = models.CharField(max_length=254, blank=True, db_index=True, editable=False)
    phone = models.CharField(_("phone number"), max_length=64, blank=True)
    company = models.CharField(_("company"), max_length=200, blank=True)
    timezone = models.CharField(_("time zone"), max_length=64, blank=True)
    language = models.CharField(_("language"), max_length=16, blank=True)
    custom_fields = models.JSONField(_("answers"), default=dict, blank=True)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("user"),
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
    )
    subject_type = models.ForeignKey(
        ContentType, null=True, blank=True, on_delete=models.SET_NULL, related_name="+", editable=False
    )
    subject_id = models.CharField(max_length=64, blank=True, editable=False)
    subject = GenericForeignKey("subject_type", "subject_id")
    # The database keeps these, whoever writes the names and however: what is blanked is blank here too.
    first_folded = build_lower_column("first_name")
    last_folded = build_lower_column("last_name")

    class Meta:
        abstract = True

    @property
    def full_name(self) -> str:
        return f"{self.first_name} {self.last_name}".strip()

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.email_folded = fold_email(self.email)
        super().save(*args, **kwargs)
