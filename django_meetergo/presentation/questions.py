"""The site's own questions for a meeting type (setting ``FORMS``), and the answers to them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, time
from typing import Any, cast

from django import forms
from django.core.exceptions import ValidationError
from django.db import models
from django.forms.utils import pretty_name
from django.utils.module_loading import import_string
from django.utils.translation import gettext_lazy as _

from django_meetergo.conf import get_settings
from django_meetergo.services.booking.validation import MAX_ANSWER_LENGTH

#: The form prefix that keeps the names of the questions apart from those of the booking form.
PREFIX = "q"


def find_questions(slug: str) -> type[forms.Form] | None:
    """Return the form that the site has configured for this meeting type, or None."""
    path = get_settings().FORMS.get(slug)
    return cast(type[forms.Form], import_string(path)) if path else None


def name_question(key: str) -> str:
    """Return the HTML name of a question's field."""
    return f"{PREFIX}-{key}"


def build_questions(
    slug: str, *, data: Any, initial: Mapping[str, Any], auto_id: bool | str
) -> forms.Form | None:
    """Return the questions bound to ``data`` (or unbound if it is None); None if the site has no form.

    ``initial`` is that of the booking form; the values of the questions are picked from it by their names.
    """
    form_class = find_questions(slug)
    if form_class is None:
        return None
    prefix = name_question("")
    values = {name.removeprefix(prefix): value for name, value in initial.items() if name.startswith(prefix)}
    questions = form_class(data, prefix=PREFIX, auto_id=auto_id, initial=values)
    mark_optional(questions)
    return questions


def mark_optional(form: forms.Form) -> None:
    """Add "(optional)" to the labels of optional fields. Tick boxes need no such note."""
    for name, field in form.fields.items():
        if not field.required and not isinstance(field, forms.BooleanField) and field.label != "":
            field.label = _("%(label)s (optional)") % {"label": field.label or pretty_name(name)}


def validate_answers(questions: forms.Form) -> None:
    """Validate the form, and refuse answers that are longer than meetergo accepts."""
    questions.full_clean()
    for key, answer in build_answers(questions).items():
        if len(str(answer)) > MAX_ANSWER_LENGTH:
            message = _("Please use at most %(limit)s characters.")
            questions.add_error(key, ValidationError(message, params={"limit": MAX_ANSWER_LENGTH}))


def build_answers(questions: forms.Form) -> dict[str, Any]:
    """Return the cleaned answers by question, as JSON values; questions without an answer are left out."""
    answers = {key: build_answer(value) for key, value in questions.cleaned_data.items()}
    return {key: answer for key, answer in answers.items() if answer not in (None, "", [])}


def build_answer(value: Any) -> Any:
    """Convert a cleaned value to JSON: dates to ISO format, decimals to text, instances to their key."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, models.Model):
        return build_answer(value.pk)
    if isinstance(value, list | tuple | set | frozenset | models.QuerySet):
        return [build_answer(item) for item in value]
    return str(value)
