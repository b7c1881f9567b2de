"""Answers to the questions of a booking form, with the questions' labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.text import capfirst

from django_meetergo.models import MeetingType
from django_meetergo.presentation.questions import find_questions


def render_answers(answers: Mapping[str, Any], meeting_type: MeetingType | None) -> SafeString | str:
    """Return one line per answer: the question as the site's form asks it, and the answer in words."""
    questions = find_question_fields(meeting_type)
    lines = (
        (name_question(key, questions.get(key)), describe_answer(value, questions.get(key)))
        for key, value in answers.items()
    )
    return format_html_join("", "{}: {}<br>", lines) or "–"


def find_question_fields(meeting_type: MeetingType | None) -> dict[str, forms.Field]:
    """Return the fields of the site's form for a meeting type, by name."""
    form_class: Any = find_questions(meeting_type.slug) if meeting_type else None
    return dict(form_class.base_fields) if form_class else {}


def name_question(key: str, field: forms.Field | None) -> str:
    label = str(field.label) if field is not None and field.label else key.replace("_", " ")
    return str(capfirst(label)).rstrip(":")


def describe_answer(value: Any, field: forms.Field | None) -> str:
    """Return the labels of chosen options, and other answers as text."""
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
