"""The signed token that identifies one rendered booking form."""

from __future__ import annotations

import uuid
from datetime import timedelta

from django.core.signing import BadSignature, SignatureExpired, TimestampSigner

from django_meetergo.conf import get_settings

FORM_SALT = "meetergo.form"
TOKEN_AGE = timedelta(days=1)


def build_signer() -> TimestampSigner:
    """Return a signer with the site's present keys; it records when a token was made."""
    return TimestampSigner(salt=FORM_SALT, sep="~")


def make_token() -> str:
    """Return a new token. It is signed, so that a client cannot choose one."""
    return build_signer().sign(uuid.uuid4().hex)


def read_token(token: str) -> str:
    """Return the idempotency key in a token. Raises BadSignature if it is forged or too old."""
    return build_signer().unsign(token, max_age=TOKEN_AGE)


def find_key(token: str) -> str:
    """Return the idempotency key in a token of any age; empty if it is forged."""
    try:
        return build_signer().unsign(token)
    except BadSignature:
        return ""


def is_too_quick(token: str) -> bool:
    """Return whether a form was sent within ``MIN_FILL_SECONDS`` of its rendering (whole seconds)."""
    shortest = timedelta(seconds=get_settings().MIN_FILL_SECONDS)
    if not shortest:
        return False  # also where the clock stands still, as in tests of a site
    try:
        build_signer().unsign(token, max_age=shortest)
    except SignatureExpired:
        return False
    return True
