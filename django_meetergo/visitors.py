"""Limit how often one visitor may do something."""

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
    """Return the client's network address: from ``CLIENT_IP_HEADER`` if set, else ``REMOTE_ADDR``.

    A proxy appends to the list in its header, so only the last entry cannot be forged by the client.
    The whole /64 network of an IPv6 address counts as one client.
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
    """Return the key that a visitor is counted under: the signed-in user, else the network address."""
    return f"user {user.pk}" if user is not None else get_client_address(meta)


@dataclass(frozen=True, kw_only=True)
class Limit:
    """At most ``times`` tries per ``seconds``, counted in the shared cache.

    The limit deters bots and guarantees nothing: while the cache fails, nobody is limited.
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
        """Return the cache key of a visitor and period. It contains a digest, not the address."""
        digest = hashlib.sha256(who.encode()).hexdigest()[:32]
        return f"meetergo:{self.name}:{digest}:{int(time.time()) // self.seconds}"
