"""Read the arguments of template tags, so that none of them breaks a page of the site.

What is undefined or anonymous is left out, and an undefined variable is logged. A wrong template is reported
to the developer, never to a visitor.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from django.conf import settings as django_settings
from django.db import models
from django.template import TemplateSyntaxError
from django.urls import NoReverseMatch

from django_meetergo.models import Attendee, MeetingType
from django_meetergo.visitors import get_account

logger = logging.getLogger("django_meetergo.templatetags.meetergo")


class TagUsageError(TemplateSyntaxError):
    """A template tag got an argument that it cannot use."""


def report_tag_error(tag: str, message: str) -> None:
    """Raise TagUsageError with ``DEBUG``; else log the message, and the tag does without the argument."""
    text = f"{{% {tag} %}}: {message}"
    if django_settings.DEBUG:
        raise TagUsageError(text)
    logger.error("%s", text)


def report_missing_urls(tag: Callable[..., str]) -> Callable[..., str]:
    """Report instead of raising when the site has not included the URLs of the package."""

    @wraps(tag)
    def wrapper(*args: Any, **kwargs: Any) -> str:
        try:
            return tag(*args, **kwargs)
        except NoReverseMatch as error:
            hint = 'Add path("book/", include("django_meetergo.urls")) to the URLconf.'
            report_tag_error(tag.__name__, f"{error} {hint}")
            return ""

    return wrapper


def is_missing(tag: str, name: str, value: Any) -> bool:
    """Return whether an object is None or undefined, and log an undefined one.

    Django passes a text for a variable that does not exist: ``string_if_invalid``, which is empty by default.
    """
    if isinstance(value, str):
        logger.error("{%% %s %%}: the variable for %s is undefined or empty.", tag, name)
    return value is None or isinstance(value, str)


def read_slug(tag: str, given: Any) -> str:
    """Return the slug of a meeting type, given itself or by its slug; "" if there is none."""
    if isinstance(given, str) and given:
        return given
    if is_missing(tag, "the meeting type", given):
        return ""
    if not isinstance(given, MeetingType):
        report_tag_error(tag, f"give a meeting type or its slug, not a {type(given).__name__}.")
        return ""
    return given.slug


def read_subject(tag: str, given: Any) -> models.Model | None:
    """Return the object of the site that bookings are linked to; None for a visitor who is not signed in."""
    if is_missing(tag, "subject", given) or getattr(given, "is_anonymous", False):
        return None
    if not hasattr(given, "_meta") or given.pk is None:
        report_tag_error(tag, f"subject must be a stored object of a model, not a {type(given).__name__}.")
        return None
    subject: models.Model = given
    return subject


def read_number(tag: str, name: str, given: Any, *, default: int, highest: int) -> int:
    """Return a whole number from 1 to ``highest``, else the default."""
    if given == "":
        is_missing(tag, name, given)
        return default
    try:
        number = int(given)
    except (TypeError, ValueError):
        number = 0
    if 1 <= number <= highest:
        return number
    report_tag_error(tag, f"{name} must be a whole number from 1 to {highest}, not {given!r}.")
    return default


def read_user(tag: str, given: Any) -> Any:
    """Return a signed-in user of this site, else None."""
    if is_missing(tag, "the user", given):
        return None
    if not hasattr(given, "is_authenticated"):
        report_tag_error(tag, f"give a user, not a {type(given).__name__}.")
        return None
    return get_account(given)


def read_attendee(tag: str, given: Any) -> Attendee | None:
    if is_missing(tag, "the attendee", given):
        return None
    if not isinstance(given, Attendee):
        report_tag_error(tag, f"give an attendee, not a {type(given).__name__}.")
        return None
    return given


def read_prefill(tag: str, given: Any) -> Mapping[str, Any]:
    if is_missing(tag, "prefill", given):
        return {}
    if not isinstance(given, Mapping):
        report_tag_error(tag, f"prefill must be a dictionary, not a {type(given).__name__}.")
        return {}
    return given
