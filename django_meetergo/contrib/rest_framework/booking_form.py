"""What a client sends to book, held against the same forms as the pages."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from django import forms
from django.core.exceptions import NON_FIELD_ERRORS
from django.utils.translation import gettext as _

from django_meetergo.contrib.rest_framework.problems import INVALID, KEY_INVALID, Problem
from django_meetergo.models import MeetingType
from django_meetergo.models.bookings import make_idempotency_key
from django_meetergo.presentation.forms import BookingForm
from django_meetergo.presentation.questions import name_question

IDEMPOTENCY_HEADER = "Idempotency-Key"
IDEMPOTENCY_PATTERN = r"^[A-Za-z0-9._~-]{16,128}$"


def read_key(given: str | None) -> str:
    """The key of this submission, a new one if the client has none. Quotes around it are allowed."""
    if given is None:
        return make_idempotency_key()
    key = given[1:-1] if given.startswith('"') and given.endswith('"') and len(given) > 2 else given
    if not re.fullmatch(IDEMPOTENCY_PATTERN, key):
        raise Problem(KEY_INVALID)
    return key


def fold_key(key: str) -> str:
    """The key as it is stored: of one length, and never equal to one that a page has made."""
    return hashlib.sha256(f"rest\n{key}".encode()).hexdigest()


class ApiBookingForm(BookingForm):
    """The pages' form without what only a page needs: its name, and its trap for robots."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in self.HIDDEN:
            self.fields.pop(name, None)


def build_form(meeting_type: MeetingType, wish: Mapping[str, Any]) -> ApiBookingForm:
    """The form as if a browser had sent it, the answers at their questions."""
    answers = {name_question(name): answer for name, answer in wish.get("answers", {}).items()}
    data = {**wish, **answers, "other_emails": "\n".join(wish.get("other_emails", ()))}
    return ApiBookingForm(data, meeting_type=meeting_type)


def validate_request(form: ApiBookingForm, wish: Mapping[str, Any]) -> None:
    """Raise what is wrong with the details and the answers, all of it at once."""
    errors = list_form_errors(form)
    asked = form.questions.fields if form.questions else {}
    for name in set(wish.get("answers", {})) - set(asked):
        errors[f"answers.{name}"] = [{"code": "unknown", "message": _("This is not asked here.")}]
    place = wish.get("location", "")
    if place and "location" not in form.fields and place not in form.meeting_type.locations:
        message = _("This place is no longer offered. Choose another one.")
        errors["location"] = [{"code": "invalid_choice", "message": message}]
    if errors:
        raise Problem(INVALID, errors=errors)


def list_form_errors(form: ApiBookingForm) -> dict[str, list[dict[str, str]]]:
    found = form.errors.get_json_data()
    return {
        rename(name): [{"code": one["code"] or "invalid", "message": one["message"]} for one in errors]
        for name, errors in found.items()
    }


def rename(name: str) -> str:
    """A form's field by the name that clients know."""
    before = name_question("")
    if name.startswith(before):
        return f"answers.{name.removeprefix(before)}"
    return "" if name == NON_FIELD_ERRORS else name


def describe_fields(meeting_type: MeetingType) -> list[dict[str, Any]]:
    """What a client should ask for, the site's own questions last."""
    form = ApiBookingForm(meeting_type=meeting_type)
    return [describe_field(field, rename(field.html_name)) for field in form]


def describe_field(bound: forms.BoundField, name: str) -> dict[str, Any]:
    field = bound.field
    choices = getattr(field, "choices", ())
    return {
        "name": name,
        "label": re.sub(r"<[^>]+>", "", str(bound.label)),
        "help_text": str(field.help_text),
        "required": field.required,
        "type": name_type(field),
        "max_length": getattr(field, "max_length", None),
        "choices": [{"value": str(value), "label": str(label)} for value, label in choices],
    }


TYPES = ("text", "boolean", "choice", "choices", "number", "date")


def name_type(field: forms.Field) -> str:
    """One of ``TYPES``: enough to choose an input."""
    for kind, name in (
        (forms.BooleanField, "boolean"),
        (forms.MultipleChoiceField, "choices"),
        (forms.ChoiceField, "choice"),
        (forms.IntegerField, "number"),
        (forms.DateField, "date"),
    ):
        if isinstance(field, kind):
            return name
    return "text"
