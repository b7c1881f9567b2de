"""Request rates per network address or signed-in user."""

from __future__ import annotations

import logging
from math import ceil
from typing import Any

from rest_framework.settings import api_settings
from rest_framework.throttling import ScopedRateThrottle

from django_meetergo.cache import cache
from django_meetergo.visitors import get_client_address

logger = logging.getLogger(__name__)

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
    """

    def allow_request(self, request: Any, view: Any) -> bool:
        try:
            return bool(super().allow_request(request, view))
        except Exception:  # cache backends raise errors of their own
            logger.exception("Counting a request for the rate %s failed; the request is allowed.", self.scope)
            return True

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

    cache = cache

    def get_rate(self) -> str | None:
        rates = {**RATES, **api_settings.DEFAULT_THROTTLE_RATES}
        rate: str | None = rates[self.scope]
        return rate

    def get_cache_key(self, request: Any, view: Any) -> str | None:
        """Return the key of the caller; None, so no limit, if the network address is not known."""
        is_signed_in = request.user and request.user.is_authenticated
        if not is_signed_in and not self.get_ident(request):
            return None
        key: str | None = super().get_cache_key(request, view)
        return key

    def get_ident(self, request: Any) -> str:
        return get_client_address(request.META)
