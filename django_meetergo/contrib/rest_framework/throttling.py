"""How often one address, or one signed-in person, may ask."""

from __future__ import annotations

from typing import Any

from rest_framework.settings import api_settings
from rest_framework.throttling import ScopedRateThrottle

from django_meetergo.cache import cache
from django_meetergo.visitors import get_client_address

#: A site changes them under the same names in ``REST_FRAMEWORK["DEFAULT_THROTTLE_RATES"]``; None lifts one.
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
    """One count a scope and caller, kept where the app keeps everything that many processes share."""

    cache = cache

    def get_rate(self) -> str | None:
        rates = {**RATES, **api_settings.DEFAULT_THROTTLE_RATES}
        rate: str | None = rates[self.scope]
        return rate

    def get_ident(self, request: Any) -> str:
        return get_client_address(request.META)
