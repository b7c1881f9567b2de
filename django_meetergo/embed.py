"""Addresses of meetergo's own booking pages: only those a site allows, with what is known filled in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from django_meetergo.conf import get_settings

SCRIPT = "https://cdn.meetergo.com/v4/integration.js"
ORIGIN = "https://cdn.meetergo.com"

UNSAFE = re.compile(r"[\s\\\x00-\x1f\x7f]")

#: Our words for what a booking page calls otherwise. Which spelling of the last name it reads is not told.
PREFILL_NAMES = {
    "first_name": ("firstname",),
    "firstname": ("firstname",),
    "last_name": ("lastname", "lastName"),
    "lastname": ("lastname", "lastName"),
    "lastName": ("lastname", "lastName"),
    "language": ("locale",),
}


class AddressNotAllowed(ValueError):
    """An address that may not be embedded. The message says which and why."""


def check_address(url: str) -> str:
    """The address, if it is https and its host is one of ``EMBED_HOSTS``; else AddressNotAllowed."""
    hosts = [host.lower() for host in get_settings().EMBED_HOSTS]
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    if UNSAFE.search(url) or parts.scheme != "https" or parts.netloc.lower() not in hosts:
        raise AddressNotAllowed(
            f"{url!r} may not be embedded: it must begin with https:// and one of the hosts in "
            f'MEETERGO["EMBED_HOSTS"], which are {", ".join(hosts) or "none"}.'
        )
    return url


def build_prefill(known: Mapping[str, Any]) -> dict[str, str]:
    """What is known about a person, under the names that the booking page reads."""
    return {
        remote: str(value)
        for name, value in known.items()
        if value not in (None, "")
        for remote in PREFILL_NAMES.get(name, (name,))
    }


def build_address(url: str, known: Mapping[str, Any]) -> str:
    """The address with everything that is known in it, where no visitor's own address can replace it."""
    parts = urlsplit(check_address(url))
    query = {**dict(parse_qsl(parts.query, keep_blank_values=True)), **build_prefill(known)}
    return urlunsplit(parts._replace(query=urlencode(query)))
