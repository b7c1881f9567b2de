"""The random key by which a visitor's browser is recognised while a booking is open."""

from __future__ import annotations

import re
import secrets
from datetime import timedelta

from django.http import HttpRequest, HttpResponse

from django_meetergo.views.rendering import set_cookie

BROWSER_COOKIE = "meetergo_browser"
#: Longer than a booking can wait for its confirmation.
BROWSER_COOKIE_AGE = timedelta(days=2)


def get_browser_key(request: HttpRequest) -> str:
    """Return the key in the cookie; empty if there is none or it is not one of ours."""
    key = request.COOKIES.get(BROWSER_COOKIE, "")
    return key if re.fullmatch(r"[0-9a-f]{32}", key) else ""


def set_browser_cookie(request: HttpRequest, response: HttpResponse) -> None:
    """Give the browser a key, unless it has one."""
    if not get_browser_key(request):
        set_cookie(request, response, BROWSER_COOKIE, secrets.token_hex(16), age=BROWSER_COOKIE_AGE)
