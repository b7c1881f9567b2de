"""Validate a booking request with the same forms as the pages."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest
from django.utils.translation import gettext as _

from django_meetergo.contrib.rest_framework.inputs import AnswerInput, get_public_name
from django_meetergo.contrib.rest_framework.problems import INVALID, KEY_INVALID, Problem, build_error
from django_meetergo.models import MeetingType
from django_meetergo.models.bookings import make_idempotency_key
from django_meetergo.presentation.forms import BookingForm
from django_meetergo.presentation.questions import name_question

IDEMPOTENCY_HEADER = "Idempotency-Key"
IDEMPOTENCY_PATTERN = r"^[A-Za-z0-9._~-]{16,128}$"


def read_idempotency_key(header: str | None) -> str:
    """Return the client's key, without the quotes that RFC 8941 strings have; a new key where there is none.

    Raises a problem for a key that is too short to be unique or has other characters.
    """
    if header is None:
        return make_idempotency_key()
    key = header[1:-1] if header.startswith('"') and header.endswith('"') and len(header) > 2 else header
    if not re.fullmatch(IDEMPOTENCY_PATTERN, key):
        raise Problem(KEY_INVALID)
    return key


def hash_idempotency_key(key: str) -> str:
    """Return the key as it is stored: of fixed length, and never equal to a key made by a page."""
    return hashlib.sha256(f"rest\n{key}".encode()).hexdigest()


class ApiBookingForm(BookingForm):
    """The pages' form for JSON: without the fields of pages only, and with answers of their JSON types."""

    #: The token and the honeypot of the page, and the consent to another time, which the API does not offer.
    LEFT_OUT = (*BookingForm.HIDDEN, "rebook", *BookingForm.REBOOK_RESTRICTIONS)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in self.LEFT_OUT:
            self.fields.pop(name, None)
        if self.questions is not None and self.is_bound:
            for field in self.questions.fields.values():
                field.widget = AnswerInput(field)


def hash_content(data: Mapping[str, Any]) -> str:
    """Return a digest of a request's members: two requests with the same digest are the same submission."""
    return hashlib.sha256(json.dumps(data, default=str, sort_keys=True).encode()).hexdigest()


def build_form(meeting_type: MeetingType, data: Mapping[str, Any], request: HttpRequest) -> ApiBookingForm:
    """Return the form bound to the request's data, as if a browser had sent it."""
    answers = {name_question(name): answer for name, answer in data.get("answers", {}).items()}
    defaults = {"receive_reminders": True}
    form_data = {**defaults, **data, **answers, "other_emails": "\n".join(data.get("other_emails", ()))}
    return ApiBookingForm(form_data, meeting_type=meeting_type, request=request)


def validate_form(form: ApiBookingForm, data: Mapping[str, Any]) -> None:
    """Raise one problem with every invalid detail and answer."""
    errors = list_form_errors(form)
    questions = form.questions.fields if form.questions else {}
    for name in set(data.get("answers", {})) - set(questions):
        errors[f"answers.{name}"] = [build_error(_("There is no such question."), "unknown")]
    location = data.get("location", "")
    if location and "location" not in form.fields and location not in form.meeting_type.locations:
        message = _("This place is no longer offered. Choose another one.")
        errors["location"] = [build_error(message, "invalid_choice")]
    if errors:
        raise Problem(INVALID, errors=errors)


def list_form_errors(form: ApiBookingForm) -> dict[str, list[dict[str, str]]]:
    """Return the form's errors by the names that clients use."""
    return {
        get_public_name(name): [build_error(one["message"], one["code"]) for one in errors]
        for name, errors in form.errors.get_json_data().items()
    }
