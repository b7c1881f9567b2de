"""Signed addresses: whoever holds one may see and change one thing, and no key of ours is in it.

A token is a public id and its signature. A forged one is refused before the database is asked.
``SECRET_KEY_FALLBACKS`` keeps old links alive through a change of key; a new public id revokes them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit
from uuid import UUID

from django.apps import apps
from django.core.exceptions import ValidationError
from django.core.signing import BadSignature, Signer
from django.urls import get_script_prefix, reverse

from django_meetergo.conf import get_settings

if TYPE_CHECKING:
    from django.db import models

    from django_meetergo.models import Attendee, Booking

BOOKING_SALT = "meetergo.booking"
MANAGE_SALT = "meetergo.manage"
SUBJECT_SALT = "meetergo.subject"


def sign(public_id: UUID, *, salt: str) -> str:
    """A token for one public id and one purpose, safe in a path."""
    return Signer(salt=salt, sep="~").sign(public_id.hex)


def unsign(token: str, *, salt: str) -> UUID | None:
    """The public id, or None for anything that we did not sign for this purpose."""
    try:
        return UUID(hex=Signer(salt=salt, sep="~").unsign(token))
    except (BadSignature, ValueError):
        return None


def get_booking_path(booking: Booking) -> str:
    """The path of the booking's outcome page."""
    return reverse("meetergo:outcome", args=[sign(booking.public_id, salt=BOOKING_SALT)])


def get_manage_path(attendee: Attendee) -> str:
    """The path of the attendee's manage page."""
    return reverse("meetergo:manage", args=[sign(attendee.public_id, salt=MANAGE_SALT)])


def build_absolute_url(path: str) -> str:
    """Return the path under ``SITE_URL``, for mails and for meetergo; never from a Host header.

    A path in ``SITE_URL`` is the prefix under which the web server mounts the site. It replaces the prefix of
    the present request, so that the address is the same in a request and in a command.
    """
    site_url = get_settings().SITE_URL
    if prefix := urlsplit(site_url).path.rstrip("/"):
        script = get_script_prefix().rstrip("/")
        path = prefix + (path.removeprefix(script) if path.startswith(f"{script}/") else path)
    return urljoin(site_url, path)


# What a booking is about


def sign_subject(instance: models.Model) -> str:
    """A token that ties a booking to an object of the site's own; nobody can choose another object."""
    return Signer(salt=SUBJECT_SALT, sep="~").sign(f"{instance._meta.label_lower}:{instance.pk}")


def find_subject(token: str) -> models.Model | None:
    """The object of a token; None for one that we did not sign, or whose object is gone."""
    try:
        label, _, key = Signer(salt=SUBJECT_SALT, sep="~").unsign(token).partition(":")
        model: Any = apps.get_model(label)
        found: models.Model | None = model._base_manager.filter(pk=key).first()
    except (BadSignature, LookupError, ValueError, ValidationError):
        return None
    return found
