"""The signed token in a booking form."""

from __future__ import annotations

import uuid
from datetime import timedelta

from django.core.signing import SignatureExpired, TimestampSigner

from django_meetergo.conf import get_settings

TOKEN_FIELD = "meetergo.form"  # noqa: S105 - the name of a signature
TOKEN_AGE = timedelta(days=1)


def build_signer() -> TimestampSigner:
    """By the site's present keys, and the time the form was made."""
    return TimestampSigner(salt=TOKEN_FIELD, sep="~")


def make_token() -> str:
    """A name for one rendered form. It is signed, so that nobody can choose one."""
    return build_signer().sign(uuid.uuid4().hex)


def read_token(token: str) -> str:
    """The key in a form's token. Raises BadSignature for one that is not ours or is too old."""
    return build_signer().unsign(token, max_age=TOKEN_AGE)


def is_too_quick(token: str) -> bool:
    """Whether a form comes back sooner than anybody can fill it in. Stamps are whole seconds."""
    least = timedelta(seconds=get_settings().MIN_FILL_SECONDS)
    try:
        build_signer().unsign(token, max_age=least)
    except SignatureExpired:
        return False
    return True
