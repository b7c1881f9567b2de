"""How often one address, or one signed-in person, may ask."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any

from django.core.cache import BaseCache, caches
from rest_framework.settings import api_settings
from rest_framework.throttling import ScopedRateThrottle

from django_meetergo.conf import get_settings

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

    @property
    def cache(self) -> BaseCache:
        return caches[get_settings().CACHE]

    def get_rate(self) -> str | None:
        rates = {**RATES, **api_settings.DEFAULT_THROTTLE_RATES}
        rate: str | None = rates[self.scope]
        return rate

    def get_ident(self, request: Any) -> str:
        return name_address(find_address(request.META))


def find_address(meta: dict[str, Any]) -> str:
    """The caller's address: from the proxy's header where a site trusts one, else whoever is connected.

    A proxy adds to the end of a list, so only its last entry was not written by the caller.
    """
    name = (get_settings().CLIENT_IP_HEADER or "REMOTE_ADDR").upper().replace("-", "_")
    if name != "REMOTE_ADDR":
        name = f"HTTP_{name.removeprefix('HTTP_')}"
    return str(meta.get(name, "")).rpartition(",")[2].strip()


def name_address(text: str) -> str:
    """An address as it is counted: whoever has one IPv6 address has the 2**64 beside it too."""
    try:
        address = ip_address(text)
    except ValueError:
        return text[:64]
    if isinstance(address, IPv6Address):
        return str(address.ipv4_mapped or ip_network((address, 64), strict=False))
    return str(address)
