"""Describe the inputs of the booking form for clients that render their own."""

from __future__ import annotations

import re
from typing import Any

from django import forms

from django_meetergo.contrib.rest_framework.booking_form import ApiBookingForm, get_public_name
from django_meetergo.models import MeetingType

INPUT_TYPES = ("text", "boolean", "choice", "choices", "number", "date")


def describe_inputs(meeting_type: MeetingType) -> list[dict[str, Any]]:
    """Return what ``InputSerializer`` shows for each field of the form, the site's own questions last."""
    form = ApiBookingForm(meeting_type=meeting_type)
    return [describe_input(field, get_public_name(field.html_name)) for field in form]


def describe_input(bound: forms.BoundField, name: str) -> dict[str, Any]:
    field = bound.field
    choices = getattr(field, "choices", ())
    return {
        "name": name,
        "label": re.sub(r"<[^>]+>", "", str(bound.label)),
        "help_text": str(field.help_text),
        "required": field.required,
        "type": get_input_type(field),
        "max_length": getattr(field, "max_length", None),
        "choices": [{"value": str(value), "label": str(label)} for value, label in choices],
    }


def get_input_type(field: forms.Field) -> str:
    """Return one of ``INPUT_TYPES``."""
    for field_class, name in (
        (forms.BooleanField, "boolean"),
        (forms.MultipleChoiceField, "choices"),
        (forms.ChoiceField, "choice"),
        (forms.IntegerField, "number"),
        (forms.DateField, "date"),
    ):
        if isinstance(field, field_class):
            return name
    return "text"
