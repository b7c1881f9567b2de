"""Checks of the site's own forms."""

from __future__ import annotations

from collections.abc import Iterator

from django import forms
from django.core.checks import CheckMessage

from django_meetergo.checks.messages import import_path, make_error
from django_meetergo.conf import SETTING_NAME, Settings


def check_forms(settings: Settings) -> Iterator[CheckMessage]:
    from django_meetergo.presentation.questions import find_argument_problem

    for slug, path in settings.FORMS.items():
        place = f'{SETTING_NAME}["FORMS"]["{slug}"]'
        form, problem = import_path(path)
        if problem:
            yield make_error(
                "E012",
                f"{place} {problem}.",
                'Use the dotted path of a form, for example "shop.forms.IntroForm".',
            )
            continue
        if not (isinstance(form, type) and issubclass(form, forms.Form)):
            yield make_error(
                "E013",
                f"{place} is not a form.",
                "Use a subclass of django.forms.Form; model forms are not supported.",
            )
            continue
        if problem := find_argument_problem(form):
            yield make_error(
                "E013",
                f"{place} is a form that cannot be created: {problem}.",
                "Let its __init__ take *args, **kwargs, and pass them on; it may name the argument request.",
            )
            continue
        yield from check_questions(place, form)


def check_questions(place: str, form: type[forms.Form]) -> Iterator[CheckMessage]:
    from django_meetergo.presentation.questions import list_question_fields, takes_file
    from django_meetergo.services.booking.validation import MAX_ANSWERS

    questions = list_question_fields(form)
    if len(questions) > MAX_ANSWERS:
        yield make_error(
            "E014", f"{place} has more than {MAX_ANSWERS} questions.", "meetergo accepts no more."
        )
    if files := [name for name, field in questions.items() if takes_file(field)]:
        yield make_error(
            "E015",
            f"{place} asks for files: {', '.join(files)}.",
            "meetergo stores answers as text. Request files on a page of your own.",
        )
