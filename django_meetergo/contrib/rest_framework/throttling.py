"""Request rates per network address or signed-in user."""

from __future__ import annotations

import hashlib
from math import ceil
from typing import Any

from rest_framework.settings import api_settings
from rest_framework.throttling import ScopedRateThrottle

from django_meetergo import links
from django_meetergo.cache import cache
from django_meetergo.conf import get_settings
from django_meetergo.visitors import get_client_address

#: Defaults. A site overrides them by the same names in ``REST_FRAMEWORK["DEFAULT_THROTTLE_RATES"]``; None
#: removes a limit.
RATES = {
    "meetergo-read": "120/min",
    "meetergo-availability": "60/min",
    "meetergo-book": "20/hour",
    "meetergo-token": "60/min",
    "meetergo-change": "20/hour",
    "meetergo-staff": "300/min",
    "meetergo-staff-change": "60/min",
}


class SchedulingThrottle(ScopedRateThrottle):  # type: ignore[misc]
    """Count requests per scope and caller in the cache of ``MEETERGO["CACHE"]``.

    The rates deter misuse and guarantee nothing: while the cache fails, no request is refused.
    A valid link is counted by itself, so that wrong links of other people never refuse it. Network addresses
    are counted only where the site says which header holds them (``CLIENT_IP_HEADER``): behind a proxy all
    visitors have the same ``REMOTE_ADDR``.
    """

    cache = cache

    def get_headers(self) -> dict[str, str]:
        """Return the ``RateLimit-…`` headers of the request that was counted last; none without a rate."""
        history = getattr(self, "history", None)
        if history is None:
            return {}
        reset = self.duration - (self.now - history[-1]) if history else 0
        return {
            "RateLimit-Limit": str(self.num_requests),
            "RateLimit-Remaining": str(max(self.num_requests - len(history), 0)),
            "RateLimit-Reset": str(max(ceil(reset), 0)),
        }

    def get_rate(self) -> str | None:
        rates = {**RATES, **api_settings.DEFAULT_THROTTLE_RATES}
        rate: str | None = rates[self.scope]
        return rate

    def get_cache_key(self, request: Any, view: Any) -> str | None:
        """Return the key of the caller: the user, the link or the network address. None is not counted."""
        user, token = request.user, view.kwargs.get("token")
        if user and user.is_authenticated:
            caller = f"user {user.pk}"
        elif token and is_signed(token):
            caller = f"link {token}"
        elif get_settings().CLIENT_IP_HEADER:
            caller = f"address {get_client_address(request.META)}"
        else:
            return None
        return f"meetergo:rate:{self.scope}:{hashlib.sha256(caller.encode()).hexdigest()[:32]}"


def is_signed(token: str) -> bool:
    """Whether the site has signed this token, whatever it names."""
    return any(links.unsign(token, salt=salt) for salt in (links.BOOKING_SALT, links.MANAGE_SALT))
