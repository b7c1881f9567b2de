"""Strict fields: instants need an offset, enums have names, and JSON types are not converted."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _
from drf_spectacular.extensions import OpenApiSerializerFieldExtension
from drf_spectacular.plumbing import ResolvedComponent
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

#: Years that every arithmetic with a time zone and a duration can hold.
YEARS = range(1970, 2200)
INVALID_INSTANT = _("Write a date and time with an offset, like 2026-12-01T09:30:00+01:00.")


def parse_instant(text: Any) -> datetime | None:
    """Return an ISO 8601 instant with an offset as an aware datetime in UTC; None for anything else."""
    try:
        # A "+" that a client did not percent-encode arrives as a space. A cursor has a space before the time
        # and a proper "+" before the offset.
        text = str(text).strip().upper()
        moment = datetime.fromisoformat(text if "+" in text else text.replace(" ", "+"))
        return moment.astimezone(UTC) if moment.tzinfo and moment.year in YEARS else None
    except (ValueError, OverflowError):
        return None


@extend_schema_field(OpenApiTypes.DATETIME)
class InstantField(serializers.Field):  # type: ignore[misc]
    """An instant as ISO 8601 text with an offset."""

    default_error_messages = {"invalid": INVALID_INSTANT}

    def to_internal_value(self, data: Any) -> datetime:
        moment = parse_instant(data) if isinstance(data, str) else None
        if moment is None:
            self.fail("invalid")
        return moment  # type: ignore[return-value]

    def to_representation(self, value: datetime) -> str:
        return value.isoformat()


class InstantFormField(forms.Field):
    """The form field of an instant, for filters."""

    def to_python(self, value: Any) -> datetime | None:
        if value in self.empty_values:
            return None
        moment = parse_instant(value)
        if moment is None:
            raise ValidationError(INVALID_INSTANT, code="invalid")
        return moment


class EnumField(serializers.ChoiceField):  # type: ignore[misc]
    """A choice that the schema shows as a component of its own.

    drf-spectacular names enums after their members and adds a hash where names collide, which depends on the
    rest of a site's schema. A named component is the same in every schema.
    """

    def __init__(self, name: str, choices: Any, *, other: str | None = None, **options: Any) -> None:
        """``other`` is shown instead of values that are not among the choices."""
        self.name, self.other = name, other
        super().__init__(choices, **options)

    def to_representation(self, value: Any) -> Any:
        if self.other is not None and value not in self.choices:
            return self.other
        return super().to_representation(value)


class EnumFieldExtension(OpenApiSerializerFieldExtension):  # type: ignore[misc]
    """Describe an EnumField as a reference to its component."""

    target_class = EnumField

    def map_serializer_field(self, auto_schema: Any, direction: str) -> dict[str, Any]:
        enum = {"type": "string", "enum": [str(value) for value in self.target.choices]}
        component = ResolvedComponent(self.target.name, ResolvedComponent.SCHEMA, enum, self.target.name)
        auto_schema.registry.register_on_missing(component)
        reference: dict[str, Any] = component.ref
        return {"oneOf": [reference, {"type": "null"}]} if self.target.allow_null else reference


class TextField(serializers.CharField):  # type: ignore[misc]
    """A JSON string; numbers are refused."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return str(super().to_internal_value(data))


class FlagField(serializers.BooleanField):  # type: ignore[misc]
    """A JSON boolean; ``"true"`` and 1 are refused."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return bool(data)


class NumberField(serializers.IntegerField):  # type: ignore[misc]
    """A JSON number without a fraction; text is refused."""

    def to_internal_value(self, data: Any) -> int:
        # JSON has one kind of number: 30.0 is 30.
        if isinstance(data, bool) or not isinstance(data, (int, float)) or data != data // 1:
            self.fail("invalid")
        return int(super().to_internal_value(int(data)))
