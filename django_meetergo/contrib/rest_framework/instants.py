"""Moments and texts as clients send them, read strictly."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

#: Years that calendars of today can hold.
YEARS = range(1970, 2200)
WRONG = _("Write a moment with its offset, like 2026-12-01T09:30:00+01:00.")


def parse_instant(text: Any) -> datetime | None:
    """An ISO moment with its offset, in UTC; None for anything else."""
    try:
        # A plus sign in an address that somebody typed arrives as a space; in a cursor, one stands before it.
        text = str(text).strip().upper()
        moment = datetime.fromisoformat(text if "+" in text else text.replace(" ", "+"))
        return moment.astimezone(UTC) if moment.tzinfo and moment.year in YEARS else None
    except (ValueError, OverflowError):
        return None


@extend_schema_field(OpenApiTypes.DATETIME)
class InstantField(serializers.Field):  # type: ignore[misc]
    default_error_messages = {"invalid": WRONG}

    def to_internal_value(self, data: Any) -> datetime:
        moment = parse_instant(data) if isinstance(data, str) else None
        if moment is None:
            self.fail("invalid")
        return moment  # type: ignore[return-value]

    def to_representation(self, value: datetime) -> str:
        return value.isoformat()


class InstantFormField(forms.Field):
    """The same for a form."""

    def to_python(self, value: Any) -> datetime | None:
        if value in self.empty_values:
            return None
        moment = parse_instant(value)
        if moment is None:
            raise ValidationError(WRONG, code="invalid")
        return moment


class TextField(serializers.CharField):  # type: ignore[misc]
    """Text and nothing that only looks like it: a number is not a name."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return str(super().to_internal_value(data))


class FlagField(serializers.BooleanField):  # type: ignore[misc]
    """true or false, not their many likenesses."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return bool(data)


class NumberField(serializers.IntegerField):  # type: ignore[misc]
    """A whole number, not a text with digits in it."""

    def to_internal_value(self, data: Any) -> int:
        # JSON knows one kind of number: 30.0 is 30.
        if isinstance(data, bool) or not isinstance(data, (int, float)) or data != data // 1:
            self.fail("invalid")
        return int(super().to_internal_value(int(data)))
