"""The questions of a meeting type: the site's own (setting ``FORMS``), and those configured at meetergo."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, cast

from django import forms
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.db import DataError
from django.forms.fields import InvalidJSONInput
from django.forms.utils import pretty_name
from django.http import HttpRequest
from django.utils.html import strip_tags
from django.utils.module_loading import import_string
from django.utils.safestring import mark_safe
from django.utils.translation import gettext_lazy as _

from django_meetergo.conf import get_settings
from django_meetergo.models import DataField, MeetingType
from django_meetergo.presentation.answers import build_answer, build_answers, restore_initial
from django_meetergo.presentation.data_fields import build_fields, list_data_fields
from django_meetergo.services.booking.validation import MAX_ANSWER_LENGTH, MAX_ANSWER_LEVELS
from django_meetergo.texts import is_nested_deeper, is_storable

logger = logging.getLogger(__name__)

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
    meeting_type: MeetingType,
    *,
    request: HttpRequest | None,
    data: Any,
    initial: Mapping[str, Any],
    auto_id: bool | str,
) -> forms.Form | None:
    """Return the questions bound to ``data`` (or unbound if it is None); None if there are none.

    ``initial`` is that of the booking form; the values of the questions are picked from it by their names.
    """
    prefix = name_question("")
    known = {name.removeprefix(prefix): value for name, value in initial.items() if name.startswith(prefix)}
    form_class, data_fields = find_questions(meeting_type.slug), list_data_fields(meeting_type)
    if form_class is None and not data_fields:
        return None
    questions = create_form(form_class, data, request=request, auto_id=auto_id, initial=known)
    for name, field in build_fields(data_fields).items():
        questions.fields.setdefault(name, field)
    for field in questions.fields.values():
        if hasattr(field.clean, "refuses_on_error"):
            continue  # forms of the site share this field
        field.clean = refuse_on_error(field.clean)  # type: ignore[method-assign]
        if isinstance(field, forms.JSONField):
            field.validators = [*field.validators, refuse_deep_json]
            field.bound_data = keep_as_typed(field.bound_data)  # type: ignore[method-assign]
    for name in set(known) & set(questions.fields):
        questions.initial[name] = restore_initial(questions.fields[name], known[name])
    complete_texts(questions)
    return questions


def refuse_on_error(clean: Callable[..., Any]) -> Callable[..., Any]:
    """Refuse a value with which ``clean`` fails: a number that is too large, JSON that is too deep."""

    def guarded(*args: Any) -> Any:
        try:
            return clean(*args)
        except (ArithmeticError, RecursionError, ValueError, DataError):
            logger.warning("A question could not read its answer; it was refused.", exc_info=True)
            raise ValidationError(_("This was not accepted. Please change it.")) from None

    guarded.refuses_on_error = True  # type: ignore[attr-defined]
    return guarded


def refuse_deep_json(value: Any) -> None:
    if is_nested_deeper(value, MAX_ANSWER_LEVELS):
        raise ValidationError(_("This was not accepted. Please change it."))


def keep_as_typed(bound_data: Callable[..., Any]) -> Callable[..., Any]:
    """Show JSON that is too deep to be read, or that no page can contain, as it was typed."""

    def guarded(data: Any, initial: Any) -> Any:
        with suppress(RecursionError, ValueError):
            value = bound_data(data, initial)
            if not isinstance(data, str) or is_storable(build_answer(value)):
                return value
        return InvalidJSONInput(data)

    return guarded


def create_form(
    form_class: type[forms.Form] | None, data: Any = None, *, request: HttpRequest | None, **options: Any
) -> forms.Form:
    """Return the site's form, or an empty one for None.

    A form whose ``__init__`` names the argument ``request`` gets the request.
    """
    if form_class is None:
        return forms.Form(data, prefix=PREFIX, **options)
    if takes_request(form_class):
        options["request"] = request
    questions = form_class(data=data, prefix=PREFIX, **options)
    if files := [name for name, field in questions.fields.items() if takes_file(field)]:
        raise ImproperlyConfigured(
            f"{form_class.__qualname__} asks for files ({', '.join(files)}), which meetergo cannot store. "
            "Request files on a page of your own."
        )
    return questions


def list_site_fields(slug: str) -> dict[str, forms.Field]:
    """Return the fields of the site's own questions for a meeting type."""
    form_class = find_questions(slug)
    return list_question_fields(form_class) if form_class else {}


def list_question_fields(form_class: type[forms.Form]) -> dict[str, forms.Field]:
    """Return the fields of a form of the site's own, those that its ``__init__`` adds among them.

    A form that cannot be built for a visitor who is not signed in is judged by its class alone.
    """
    request: Any = HttpRequest()
    request.user, request.session = AnonymousUser(), {}
    try:
        return dict(form_class(**({"request": request} if takes_request(form_class) else {})).fields)
    except Exception:  # noqa: BLE001 - the site's own code, which may need a real request or the database
        return dict(form_class.base_fields)


def list_names(slug: str, rows: Iterable[DataField]) -> set[str]:
    """Return the names of all questions that a meeting type asks when these data fields are chosen."""
    return {*list_site_fields(slug), *build_fields(rows)}


def takes_request(form_class: type[forms.Form]) -> bool:
    """Return whether the form, or a form that it extends, names ``request`` among its arguments."""
    own = (base.__dict__["__init__"] for base in form_class.__mro__ if "__init__" in base.__dict__)
    return any("request" in inspect.signature(init).parameters for init in own if inspect.isfunction(init))


def find_argument_problem(form_class: type[forms.Form]) -> str:
    """Return why ``create_form`` cannot create this form; "" if it can."""
    request = {"request": None} if takes_request(form_class) else {}
    try:
        inspect.signature(form_class).bind(data=None, prefix=PREFIX, auto_id="", initial={}, **request)
    except TypeError as error:
        return str(error)
    return ""


def takes_file(field: forms.Field) -> bool:
    """Return whether the field, or one of its parts, expects an upload."""
    parts = getattr(field, "fields", ())
    is_file = isinstance(field, forms.FileField) or field.widget.needs_multipart_form
    return is_file or any(takes_file(part) for part in parts)


def complete_texts(form: forms.Form) -> None:
    """Add "(optional)" to the labels of optional fields, and name the field in "This field is required".

    The error summary lists errors without their fields. Tick boxes need no "(optional)".
    """
    standard = forms.Field.default_error_messages["required"]
    for name, field in form.fields.items():
        label = pretty_name(name) if field.label is None else field.label
        is_tick = isinstance(field, forms.BooleanField)
        if field.required and field.error_messages["required"] is standard and label:
            text = _("Please tick “%(label)s”.") if is_tick else _("Please fill in “%(label)s”.")
            plain = strip_tags(str(label)) if hasattr(label, "__html__") else label
            field.error_messages["required"] = text % {"label": plain}
        elif not field.required and not is_tick and label:
            labelled = str(_("%(label)s (optional)")) % {"label": label}
            # A label with a link stays HTML.
            field.label = mark_safe(labelled) if hasattr(label, "__html__") else labelled  # noqa: S308


def validate_answers(questions: forms.Form) -> None:
    """Validate the form, and refuse answers that meetergo or the database cannot store."""
    questions.full_clean()
    for key, answer in build_answers(questions).items():
        place = key if key in questions.fields else None
        if len(str(answer)) > MAX_ANSWER_LENGTH:
            message = _("Please use at most %(limit)s characters.")
            questions.add_error(place, ValidationError(message, params={"limit": MAX_ANSWER_LENGTH}))
        elif not is_storable(answer):
            questions.add_error(place, ValidationError(_("This was not accepted. Please change it.")))
