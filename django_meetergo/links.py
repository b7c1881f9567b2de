"""Signed links: the holder of a link may see and change one booking or one attendee.

A token is a public id and its signature, never a primary key. A forged token is refused without a query.
Links stay valid through a change of ``SECRET_KEY`` by ``SECRET_KEY_FALLBACKS``; a new public id revokes them.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urljoin, urlsplit
from uuid import UUID

from django.apps import apps
from django.conf import settings as django_settings
from django.core.exceptions import ValidationError
from django.core.signals import request_started
from django.core.signing import BadSignature, Signer
from django.urls import NoReverseMatch, get_script_prefix, register_converter, reverse
from django.urls.converters import StringConverter
from django.utils.translation import get_supported_language_variant

from django_meetergo.conf import get_settings
from django_meetergo.lookups import find_one
from django_meetergo.texts import Secret

if TYPE_CHECKING:
    from django.db import models

    from django_meetergo.models import Attendee, Booking, CalendarFeed

T = TypeVar("T", bound="models.Model")

logger = logging.getLogger(__name__)

BOOKING_SALT = "meetergo.booking"
MANAGE_SALT = "meetergo.manage"
FEED_SALT = "meetergo.feed"
SUBJECT_SALT = "meetergo.subject"


class TokenConverter(StringConverter):
    """``<meetergo_token:token>`` in a URL pattern: views and crash reports get a text that ``repr`` hides."""

    def to_python(self, value: str) -> Secret:
        return Secret(value)


register_converter(TokenConverter, "meetergo_token")


def sign(public_id: UUID, *, salt: str) -> str:
    """Return a token for a public id and one purpose (the salt), safe in a URL path."""
    return Signer(salt=salt, sep="~").sign(public_id.hex)


def unsign(token: str, *, salt: str) -> UUID | None:
    """Return the public id; None for a token that was not signed for this purpose."""
    try:
        return UUID(hex=Signer(salt=salt, sep="~").unsign(token))
    except (BadSignature, ValueError):
        return None


def find_by_token(rows: models.QuerySet[T], token: str, *, salt: str) -> T | None:
    """Return the row that a signed token names. A token with a wrong signature costs no query."""
    public_id = unsign(token, salt=salt)
    return find_one(rows.filter(public_id=public_id)) if public_id else None


def get_booking_path(booking: Booking) -> str:
    """Return the path of the booking's outcome page."""
    return reverse("meetergo:outcome", args=[sign(booking.public_id, salt=BOOKING_SALT)])


def get_manage_path(attendee: Attendee) -> str:
    """Return the path of the attendee's manage page."""
    return reverse("meetergo:manage", args=[sign(attendee.public_id, salt=MANAGE_SALT)])


def get_feed_path(feed: CalendarFeed) -> str:
    """Return the path from which calendar apps fetch the feed."""
    return reverse("meetergo:feed", args=[sign(feed.public_id, salt=FEED_SALT)])


def has_pages() -> bool:
    """Return whether the site includes the pages; one with a front end of its own may have the API only."""
    try:
        reverse("meetergo:index")
    except (NoReverseMatch, AttributeError):  # AttributeError: there is no ROOT_URLCONF
        return False
    return True


def build_absolute_url(path: str) -> str:
    """Return the path under ``SITE_URL``, for mails and for meetergo; never from a Host header.

    The prefix under which the site is mounted replaces that of the present request, so that the address is
    the same in a request, in a command and in a thread.
    """
    if prefix := get_mount_prefix():
        script = get_script_prefix().rstrip("/")
        path = prefix + (path.removeprefix(script) if path.startswith(f"{script}/") else path)
    return urljoin(get_settings().SITE_URL, path)


def get_mount_prefix() -> str:
    """Return the path under which the web server mounts the site: that of ``SITE_URL``, else Django's own.

    Django knows ``FORCE_SCRIPT_NAME`` in requests and in the main thread only.
    """
    own = django_settings.FORCE_SCRIPT_NAME or ""
    return urlsplit(get_settings().SITE_URL).path.rstrip("/") or own.rstrip("/")


def choose_language(language: str) -> str:
    """Return the language for somebody's links and mails: theirs if the site has it, else the site's.

    With ``i18n_patterns`` a link in a language that the site does not have would lead nowhere.
    """
    try:
        return get_supported_language_variant(language)
    except LookupError:
        return django_settings.LANGUAGE_CODE


def report_unknown_prefix(*, environ: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
    """Warn with the first request if the server mounts the site under a prefix that links in mails lack."""
    request_started.disconnect(dispatch_uid="meetergo.mount")
    scope: Mapping[str, Any] = kwargs.get("scope") or {}
    given = str((environ or {}).get("SCRIPT_NAME") or scope.get("root_path") or "").rstrip("/")
    if given and get_settings().SITE_URL and get_mount_prefix() != given:
        logger.warning(
            'The web server mounts this site at %s, and MEETERGO["SITE_URL"] does not contain this path: '
            "links in mails and the webhook would lead elsewhere. Add it to SITE_URL.",
            given,
        )


# The object that a booking belongs to


def sign_subject(instance: models.Model) -> str:
    """Return a token that links a booking to an object of the site. Visitors cannot forge another one."""
    return Signer(salt=SUBJECT_SALT, sep="~").sign(f"{instance._meta.label_lower}:{instance.pk}")


def find_subject(token: str) -> models.Model | None:
    """Return the object of a token; None for a forged token or a deleted object."""
    try:
        label, _, key = Signer(salt=SUBJECT_SALT, sep="~").unsign(token).partition(":")
        model: Any = apps.get_model(label)
        found: models.Model | None = model._base_manager.filter(pk=key).first()
    except (BadSignature, LookupError, ValueError, ValidationError):
        return None
    return found
