"""Answers to the site's questions as JSON values, and JSON values as the fields of a form take them."""

from __future__ import annotations

import json
from datetime import date, datetime, time, timedelta
from enum import Enum
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db import models
from django.utils import dateparse
from django.utils.duration import duration_iso_string


def build_answers(questions: forms.Form) -> dict[str, Any]:
    """Return the cleaned answers by question, as JSON values; questions without an answer are left out."""
    answers = {
        key: build_answer(prepare_instances(questions.fields.get(key), value))
        for key, value in questions.cleaned_data.items()
    }
    return {key: answer for key, answer in answers.items() if answer not in (None, "", [], {})}


def prepare_instances(field: forms.Field | None, value: Any) -> Any:
    """Return chosen model instances as their field identifies them: by key, or by ``to_field_name``."""
    return field.prepare_value(value) if isinstance(field, forms.ModelChoiceField) else value


def build_answer(value: Any) -> Any:
    """Convert a cleaned value to JSON: times to ISO 8601, decimals to text, instances to their keys."""
    if isinstance(value, Enum):
        return build_answer(value.value)
    if isinstance(value, str):
        return value.replace("\r\n", "\n")  # one character, as in the browser and at meetergo
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return duration_iso_string(value)
    if isinstance(value, models.Model):
        return build_answer(value.pk)
    if isinstance(value, dict):
        return {str(key): build_answer(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset | models.QuerySet):
        return [build_answer(item) for item in value]
    return str(value)


# From JSON

#: ``DateTimeField`` is no subclass of ``DateField``.
TEMPORAL = (
    (forms.DateTimeField, dateparse.parse_datetime),
    (forms.DateField, dateparse.parse_date),
    (forms.TimeField, dateparse.parse_time),
    (forms.DurationField, dateparse.parse_duration),
)


def convert_answer(field: forms.Field, value: Any) -> Any:
    """Return a JSON value as the field's ``clean`` takes it.

    Dates and times are parsed as ISO 8601 here, because a field may accept other formats only.
    A value that cannot be converted becomes text, and the field refuses it.
    """
    if value is None:
        return None
    if isinstance(field, forms.SplitDateTimeField):
        moment = parse_iso(dateparse.parse_datetime, value)
        return [moment.date(), moment.time()] if isinstance(moment, datetime) else [moment, moment]
    if isinstance(field, forms.MultiValueField):
        parts = value if isinstance(value, list) else [value]
        return [convert_answer(part, one) for part, one in zip(field.fields, parts, strict=False)]
    for field_class, parse in TEMPORAL:
        if isinstance(field, field_class):
            return parse_iso(parse, value)
    if isinstance(field, forms.JSONField):
        return value if isinstance(value, str) else json.dumps(value)
    return value if isinstance(value, str) or not isinstance(field, forms.CharField) else str(value)


def parse_iso(parse: Any, value: Any) -> Any:
    try:
        return parse(str(value)) or str(value)
    except (ValueError, OverflowError):
        return str(value)


def restore_initial(field: forms.Field, value: Any) -> Any:
    """Return a stored answer, or what was typed before, as the initial value of its field.

    A widget of several inputs takes a list of what was typed; a text in ISO format is for Django's own only.
    """
    if not isinstance(value, str):
        return value
    if isinstance(field, forms.JSONField):
        return field.bound_data(value, None)
    if isinstance(field, forms.MultiValueField) and not isinstance(field, forms.SplitDateTimeField):
        return value
    converted = convert_answer(field, value)
    return format_initial(field, converted) if isinstance(converted, date | time) else converted


def format_initial(field: Any, moment: date | time) -> date | time | str:
    """Return the date or time; as text where the widget would write it in a format that the field refuses."""
    shown = field.widget.format_value(field.prepare_value(moment))
    try:
        field.to_python(shown if isinstance(shown, str) else moment)
    except ValidationError:
        return moment.strftime(next(iter(field.input_formats)))
    return moment
