"""Request rates per network address or signed-in user."""

from __future__ import annotations

from typing import Any

from rest_framework.settings import api_settings
from rest_framework.throttling import ScopedRateThrottle

from django_meetergo.cache import cache
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
    """Count requests per scope and caller in the cache of ``MEETERGO["CACHE"]``."""

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
