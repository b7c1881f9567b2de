"""Strangers: from which address they come, and how often one address may try something."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any

from django_meetergo.cache import cache
from django_meetergo.conf import get_settings


def get_client_address(meta: Mapping[str, Any]) -> str:
    """The caller's address: from the proxy's header where a site trusts one, else whoever is connected.

    A proxy adds to the end of a list, so only its last entry was not written by the caller. Whoever has one
    IPv6 address has the 2**64 beside it too, and is counted as one.
    """
    name = (get_settings().CLIENT_IP_HEADER or "REMOTE_ADDR").upper().replace("-", "_")
    if name != "REMOTE_ADDR":
        name = f"HTTP_{name.removeprefix('HTTP_')}"
    return normalize_address(str(meta.get(name, "")).rpartition(",")[2].strip())


def normalize_address(text: str) -> str:
    try:
        address = ip_address(text)
    except ValueError:
        return text[:64]
    if isinstance(address, IPv6Address):
        return str(address.ipv4_mapped or ip_network((address, 64), strict=False))
    return str(address)


def identify_visitor(user: Any, meta: Mapping[str, Any]) -> str:
    """As whom a visitor is counted: the signed-in person, else the address they come from."""
    return f"user {user.pk}" if user is not None else get_client_address(meta)


@dataclass(frozen=True, kw_only=True)
class Limit:
    """So many tries in a period of so many seconds, counted in the cache that all processes share.

    It keeps robots off and is no promise: a cache that fails or forgets lets everybody through.
    """

    name: str
    times: int
    seconds: int

    def is_reached(self, who: str) -> bool:
        tries: int = cache.get(self._name_period(who), 0)
        return tries >= self.times

    def count(self, who: str) -> None:
        cache.increment(self._name_period(who), self.seconds)

    def _name_period(self, who: str) -> str:
        """One key a visitor and period. The address itself is not kept."""
        digest = hashlib.sha256(who.encode()).hexdigest()[:32]
        return f"meetergo:{self.name}:{digest}:{int(time.time()) // self.seconds}"
