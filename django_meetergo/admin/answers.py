"""Answers to the questions of a booking form, with the questions' labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext

from django_meetergo.formatting import format_pair
from django_meetergo.models import DataField, MeetingType
from django_meetergo.presentation.data_fields import build_fields
from django_meetergo.presentation.questions import list_site_fields


def render_answers(answers: Mapping[str, Any], questions: Mapping[str, forms.Field]) -> SafeString | str:
    """Return one line per answer: the question as the site's form asks it, and the answer in words."""
    lines = [(format_pair(question, answer),) for question, answer in list_answers(answers, questions)]
    return format_html_join("", "{}<br>", lines) or "–"


def list_answers(answers: Mapping[str, Any], questions: Mapping[str, forms.Field]) -> list[tuple[str, str]]:
    """Return question and answer of each answer, in words and in the order of the questions.

    A database may keep the keys of a JSON object in an order of its own.
    """
    order = {key: place for place, key in enumerate(questions)}
    return [
        (name_question(key, questions.get(key)), describe_answer(answers[key], questions.get(key)))
        for key in sorted(answers, key=lambda key: order.get(key, len(order)))
    ]


def find_question_fields(meeting_type: MeetingType | None) -> dict[str, forms.Field]:
    """Return the fields of the questions that may have been asked, by name.

    These are all that are configured at meetergo, because they are asked there too, and the site's own.
    """
    if meeting_type is None:
        return {}
    return find_configured_fields(meeting_type.connection) | list_site_fields(meeting_type.slug)


def find_configured_fields(connection: str) -> dict[str, forms.Field]:
    """Return the fields of the questions that a connection's company has configured at meetergo."""
    return build_fields(DataField.objects.filter(connection=connection).defer("raw"))


def name_question(key: str, field: forms.Field | None) -> str:
    label = str(field.label) if field is not None and field.label else key.replace("_", " ")
    return str(capfirst(label)).rstrip(":")


def describe_answer(value: Any, field: forms.Field | None) -> str:
    """Return the labels of chosen options, yes or no for a box, and other answers as text."""
    if isinstance(field, forms.BooleanField) and value in ("true", "false"):
        value = value == "true"  # as meetergo stores it
    if isinstance(value, bool):
        return gettext("Yes") if value else gettext("No")
    labels = dict(list_options(field)) if isinstance(field, forms.ChoiceField) else {}
    values = value if isinstance(value, list) else [value]
    return ", ".join(labels.get(str(each), str(each)) for each in values)


def list_options(field: forms.ChoiceField) -> list[tuple[str, str]]:
    """Return value and label of each option, without the groups."""
    options: list[tuple[str, str]] = []
    choices: Any = field.choices
    for value, label in choices:
        pairs = label if isinstance(label, list | tuple) else [(value, label)]
        options += [(str(each), str(text)) for each, text in pairs]
    return options
