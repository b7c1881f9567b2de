"""The encrypted cookie that carries what a visitor typed to the next form."""

from __future__ import annotations

import json
from datetime import timedelta
from functools import partial
from typing import Any

from cryptography.fernet import InvalidToken
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from django_meetergo.fields import build_cipher, encrypt, get_encryption_keys
from django_meetergo.views.rendering import set_cookie

DETAILS_COOKIE = "meetergo_details"
DETAILS_AGE = timedelta(minutes=30)
#: Bytes of JSON that fit into a cookie once they are encrypted.
MAX_BYTES = 2800


def set_details_cookie(request: HttpRequest, response: HttpResponse, details: dict[str, Any]) -> None:
    """Store the details, encrypted, in the visitor's browser for ``DETAILS_AGE``.

    The longest values are left out until the rest fits.
    """
    kept, write = dict(details), partial(json.dumps, default=str)
    while len(content := write(kept)) > MAX_BYTES:
        del kept[max(kept, key=lambda name: len(write(kept[name])))]
    set_cookie(request, response, DETAILS_COOKIE, encrypt(content), age=DETAILS_AGE)


def delete_details_cookie(response: HttpResponse) -> None:
    response.delete_cookie(DETAILS_COOKIE, path=reverse("meetergo:index"), samesite="Lax")


def read_details_cookie(request: HttpRequest) -> dict[str, Any]:
    """Return what the same browser typed before; {} for a missing, expired or forged cookie."""
    value = request.COOKIES.get(DETAILS_COOKIE, "")
    cipher = build_cipher(get_encryption_keys())
    try:
        details = json.loads(cipher.decrypt(value.encode(), ttl=int(DETAILS_AGE.total_seconds())))
    except (InvalidToken, ValueError):
        return {}
    return details if isinstance(details, dict) else {}
