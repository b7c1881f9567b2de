"""Identify visitors, and limit how often one of them may do something."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any

from django.contrib.auth import get_user_model

from django_meetergo.cache import cache
from django_meetergo.conf import get_settings

ADDRESS = re.compile(r'(?:.*?for=)?"?(?:\[([^\]]+)\]|(\d+\.\d+\.\d+\.\d+))(?::\d+)?"?(?:;.*)?', re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Visitor:
    """Who sends a request. Empty parts are unknown and are not counted.

    ``person`` is the signed-in user, or the browser by its own random cookie; ``address`` is the network
    address of a visitor who is not signed in.
    """

    person: str = ""
    address: str = ""


def get_account(user: Any) -> Any:
    """Return the user if it is a row of the site's user model, else None.

    An anonymous user is none, nor is that of a stateless token, whose number need not be of this site.
    """
    return user if isinstance(user, get_user_model()) else None


def get_user(request: Any) -> Any:
    """Return the signed-in user of this site, or None."""
    return get_account(getattr(request, "user", None))


def identify_visitor(user: Any, meta: Mapping[str, Any], *, browser: str = "") -> Visitor:
    """Return the visitor; ``browser`` is the random key in the browser's cookie, if it has one."""
    if user is not None:
        # Signed-in users are known, and may share an address.
        return Visitor(person=f"user {user.pk}")
    return Visitor(person=f"browser {browser}" if browser else "", address=get_client_address(meta))


def get_client_address(meta: Mapping[str, Any]) -> str:
    """Return the visitor's network address; empty unless ``CLIENT_IP_HEADER`` says where it is.

    Behind a proxy ``REMOTE_ADDR`` is the proxy's address, the same for all visitors, so it counts only if the
    setting names it. A proxy appends to a list of addresses, so only the last entry is not written by the
    client. A visitor with one IPv6 address has the other 2**64 of its network too, and is counted as one.
    """
    header = get_settings().CLIENT_IP_HEADER
    if not header:
        return ""
    name = header.upper().replace("-", "_")
    if name != "REMOTE_ADDR":
        name = f"HTTP_{name.removeprefix('HTTP_')}"
    return normalize_address(str(meta.get(name, "")).rpartition(",")[2].strip())


def normalize_address(text: str) -> str:
    """Return one name of a network address, without the port that some proxies add to it.

    The text may be an entry of the header ``Forwarded``: ``for="[2001:db8::1]:4711";proto=https``.
    """
    found = ADDRESS.fullmatch(text)
    try:
        address = ip_address(found[1] or found[2] if found else text)
    except ValueError:
        return text[:64]
    if isinstance(address, IPv6Address):
        return str(address.ipv4_mapped or ip_network((address, 64), strict=False))
    return str(address)


@dataclass(frozen=True, kw_only=True)
class Limit:
    """At most ``times`` in a period of ``seconds``, counted in the cache that all processes share.

    It slows robots down and is no guarantee: while the cache is away, nobody is limited.
    """

    name: str
    times: int
    seconds: int

    def get_wait(self, who: str) -> int:
        """Return the seconds until ``who`` may try again; 0 if the limit is not reached."""
        count: int = cache.get(self._build_key(who), 0)
        return self.seconds - int(time.time()) % self.seconds if count >= self.times else 0

    def count(self, who: str) -> None:
        cache.increment(self._build_key(who), self.seconds)

    def _build_key(self, who: str) -> str:
        """Return the key of the present period. It contains a digest, not the address itself."""
        digest = hashlib.sha256(who.encode()).hexdigest()[:32]
        return f"meetergo:{self.name}:{digest}:{int(time.time()) // self.seconds}"


def count_all(counted: Iterable[tuple[Limit, str]]) -> int:
    """Count once for each, leaving out unknown ones; where a limit is reached, return the seconds to wait."""
    known = [(limit, who) for limit, who in counted if who]
    if wait := max((limit.get_wait(who) for limit, who in known), default=0):
        return wait
    for limit, who in known:
        limit.count(who)
    return 0
