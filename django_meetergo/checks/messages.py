"""Build the messages of the system checks: an id, the cause, a hint, and a link into the documentation."""

from __future__ import annotations

from typing import Any

from django.core import checks
from django.utils.module_loading import import_string

from django_meetergo import DOCS_URL
from django_meetergo.conf import SETTING_NAME

#: The ids of problems that the typed validation of the settings finds, with their hints. Others are E018.
NUMBERS = {
    "BACKGROUND": ("E007", 'Use "inline", "celery", "tasks" or "cron".'),
    "KEY_EXPIRES": ("E016", "Use a date, for example datetime.date(2027, 1, 31)."),
}


def make_error(number: str, text: str, hint: str) -> checks.Error:
    return checks.Error(text, hint=add_link(number, hint), id=f"meetergo.{number}")


def make_warning(number: str, text: str, hint: str) -> checks.Warning:
    return checks.Warning(text, hint=add_link(number, hint), id=f"meetergo.{number}")


def add_link(number: str, hint: str) -> str:
    """Return the hint with the address of the row about this id in the reference."""
    return f"{hint} See {DOCS_URL}reference/checks.html#meetergo-{number.lower()}"


def import_path(path: str) -> tuple[Any, str]:
    """Return what a dotted path names, and why it cannot be imported; "" if it can be.

    Errors inside the module are raised: their traceback says more than a message.
    """
    if path.startswith("."):
        return None, f"cannot be imported: {path} is relative"
    try:
        return import_string(path), ""
    except ImportError as error:
        return None, f"cannot be imported: {error}"


def make_settings_error(place: str, problem: str) -> checks.Error:
    """Return the error for a key that is unknown or has a wrong value."""
    key = place.rpartition('["')[2].removesuffix('"]')
    if not place and not problem.startswith("has no key"):
        number, hint = "E001", 'Set it to a dictionary, for example {"API_KEY": "…"}.'
    elif problem.startswith("has no key"):
        number, hint = "E002", "Correct or remove the key: as it is, it has no effect."
    else:
        number, hint = NUMBERS.get(
            key, ("E018", "See the reference of the settings for the type and the default of this key.")
        )
    return make_error(number, f"{SETTING_NAME}{place} {problem}.", hint)
