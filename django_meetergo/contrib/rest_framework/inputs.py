"""Describe the fields of the booking form for clients that render their own, and read what they send.

What a description allows, the form accepts: ``describe_inputs`` and ``convert_answer`` belong together, and a
test generates values from the description of every field of ``django.forms``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

from django import forms
from django.core import validators
from django.core.exceptions import NON_FIELD_ERRORS

from django_meetergo.conf import get_settings
from django_meetergo.formatting import NEEDS_PHONE, ON_SITE
from django_meetergo.presentation.answers import build_answer, convert_answer
from django_meetergo.presentation.questions import name_question
from django_meetergo.services.booking.validation import LIMITS, MAX_GUESTS

#: Types of values: JSON booleans, numbers (``integer``, ``number``), lists (``parts``), or else strings.
INPUT_TYPES = (
    "text",
    "multiline",
    "email",
    "phone",
    "url",
    "slug",
    "uuid",
    "ip",
    "json",
    "boolean",
    "integer",
    "decimal",
    "number",
    "choice",
    "date",
    "time",
    "datetime",
    "duration",
    "parts",
)

#: Subclasses come before their base classes.
TYPES_BY_FIELD: tuple[tuple[type[forms.Field], str], ...] = (
    (forms.NullBooleanField, "boolean"),
    (forms.BooleanField, "boolean"),
    (forms.ChoiceField, "choice"),
    (forms.DecimalField, "decimal"),
    (forms.FloatField, "number"),
    (forms.IntegerField, "integer"),
    (forms.DateTimeField, "datetime"),
    (forms.SplitDateTimeField, "datetime"),
    (forms.DateField, "date"),
    (forms.TimeField, "time"),
    (forms.DurationField, "duration"),
    (forms.MultiValueField, "parts"),
    (forms.EmailField, "email"),
    (forms.URLField, "url"),
    (forms.SlugField, "slug"),
    (forms.UUIDField, "uuid"),
    (forms.GenericIPAddressField, "ip"),
    (forms.JSONField, "json"),
)
MULTIPLE = (forms.MultipleChoiceField, forms.ModelMultipleChoiceField)
NUMERIC = ("integer", "number")


def describe_inputs(form: Any) -> list[dict[str, Any]]:
    """Return what ``InputSerializer`` shows for each field of an unbound booking form."""
    return [describe_input(form, bound, get_public_name(bound.html_name)) for bound in form]


def describe_input(form: Any, bound: forms.BoundField, name: str) -> dict[str, Any]:
    field, own = bound.field, "." not in name
    label = str(bound.label)
    channels = [channel for channel, _label in getattr(form.fields.get("channel"), "choices", ())]
    is_either = own and name in {"email", "phone"} and form.meeting_type.allows_phone_only
    return {
        **describe_value(field),
        **(describe_own(name) if own else {}),
        "name": name,
        "label": re.sub(r"<[^>]+>", "", label),
        "help_text": re.sub(r"<[^>]+>", "", str(field.help_text)),
        "url": get_settings().PRIVACY_URL if name == "privacy" else None,
        "initial": build_initial(bound),
        "parts": [describe_value(part) for part in getattr(field, "fields", ())]
        if get_input_type(field) == "parts"
        else [],
        "shown_when": build_condition(channels, ON_SITE) if name == "location" else None,
        "required_when": build_condition(channels, NEEDS_PHONE if name == "phone" else ON_SITE)
        if name in {"phone", "location"} and not form.meeting_type.allows_phone_only
        else None,
        "required_unless": {"email": "phone", "phone": "email"}[name] if is_either else None,
    }


def describe_own(name: str) -> dict[str, Any]:
    """Return what differs for a field of the booking form itself, which the request has as a member."""
    if name == "other_emails":
        # A text with one address per line in the form, a list in the request.
        return {
            "type": "email",
            "multiple": True,
            "max_items": MAX_GUESTS,
            "max_length": LIMITS["email"],
        }
    return {"type": "phone"} if name == "phone" else {}


def build_condition(channels: list[str], values: Iterable[str]) -> dict[str, Any] | None:
    """Return the condition that one of these channels is chosen; None where none can be chosen."""
    found = [channel for channel in channels if channel in values]
    return {"name": "channel", "values": found} if found else None


def describe_value(field: forms.Field) -> dict[str, Any]:
    """Return what ``InputPartSerializer`` shows: the type of the value and its limits."""
    kind = get_input_type(field)
    limits = list(find_limits(field))
    return {
        "type": kind,
        "multiple": isinstance(field, MULTIPLE),
        "required": field.required,
        "min": merge(max, limits, "min", kind),
        "max": merge(min, limits, "max", kind),
        "step": next((float(value) for name, value in limits if name == "step"), None),
        "decimal_places": getattr(field, "decimal_places", None),
        "max_digits": getattr(field, "max_digits", None),
        "min_length": merge(max, limits, "min_length"),
        "max_length": merge(min, limits, "max_length"),
        "max_items": None,
        "pattern": next((value for name, value in limits if name == "pattern"), None),
        "choices": list_choices(field),
    }


def get_input_type(field: forms.Field) -> str:
    """Return one of ``INPUT_TYPES``; text for a field class that is not derived from a field of Django."""
    for field_class, name in TYPES_BY_FIELD:
        if isinstance(field, field_class):
            return name
    if isinstance(field, forms.ComboField):
        return next((kind for kind in map(get_input_type, field.fields) if kind != "text"), "text")
    return "multiline" if isinstance(field.widget, forms.Textarea) else "text"


def find_limits(field: forms.Field) -> Iterator[tuple[str, Any]]:
    """Yield the limits that validators and attributes set, by the name of the member that shows them."""
    members = (
        (validators.MinLengthValidator, "min_length"),
        (validators.MaxLengthValidator, "max_length"),
        (validators.StepValueValidator, "step"),
        (validators.MinValueValidator, "min"),
        (validators.MaxValueValidator, "max"),
    )
    for validator in field.validators:
        for validator_class, name in members:
            if isinstance(validator, validator_class):
                limit = validator.limit_value
                yield name, limit() if callable(limit) else limit
                break
        if type(validator) is validators.RegexValidator and not (validator.flags or validator.inverse_match):
            yield "pattern", str(getattr(validator.regex, "pattern", validator.regex))
    for part in field.fields if isinstance(field, forms.ComboField) else ():
        yield from find_limits(part)


def merge(choose: Any, limits: list[tuple[str, Any]], member: str, kind: str = "") -> Any:
    """Return the strictest limit of one member, as JSON."""
    found = [value for name, value in limits if name == member]
    if not found:
        return None
    limit = choose(found)
    if kind in NUMERIC or isinstance(limit, int):
        return limit
    return str(limit) if isinstance(limit, Decimal) else build_answer(limit)


def build_initial(bound: forms.BoundField) -> Any:
    value = bound.initial
    if isinstance(value, list | tuple) and isinstance(bound.field, forms.SplitDateTimeField):
        return None
    return build_answer(value)


def list_choices(field: forms.Field) -> list[dict[str, str]]:
    """Return the choices with their groups, without the empty one: an optional input can be left out."""
    found = []
    for value, label in getattr(field, "choices", None) or ():
        options, group = (label, str(value)) if isinstance(label, list | tuple) else ([(value, label)], "")
        found += [{"value": str(one), "label": str(text), "group": group} for one, text in options]
    return [choice for choice in found if choice["value"] != ""]


# Reading answers


class AnswerInput(forms.Widget):
    """The widget of a question whose answer comes as JSON instead of HTML form data."""

    def __init__(self, field: forms.Field) -> None:
        super().__init__()
        self.field = field

    def value_from_datadict(self, data: Any, files: Any, name: str) -> Any:
        return convert_answer(self.field, data.get(name))


def get_public_name(name: str) -> str:
    """Return the name that clients use for a form field: ``answers.x`` for a question, empty for the form."""
    prefix = name_question("")
    if name.startswith(prefix):
        return f"answers.{name.removeprefix(prefix)}"
    return "" if name == NON_FIELD_ERRORS else name
