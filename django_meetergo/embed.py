"""URLs of meetergo's own booking pages: checked against ``EMBED_HOSTS``, with prefilled fields."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from django_meetergo.conf import get_settings, is_sandbox_url

SCRIPT = "https://cdn.meetergo.com/v4/integration.js"

UNSAFE = re.compile(r"[\s\\\x00-\x1f\x7f]")

#: Our names of fields, and the query parameters of a booking page. The documentation does not say which
#: spelling of the last name the page reads, so both are sent.
PREFILL_NAMES = {
    "first_name": ("firstname",),
    "firstname": ("firstname",),
    "last_name": ("lastname", "lastName"),
    "lastname": ("lastname", "lastName"),
    "lastName": ("lastname", "lastName"),
    "language": ("locale",),
}


class EmbedUrlNotAllowed(ValueError):
    """The URL may not be embedded. The message names it and the reason."""


def validate_embed_url(url: str) -> str:
    """Return the URL if it is https and its host is in ``EMBED_HOSTS``; else raise EmbedUrlNotAllowed.

    Pages of the sandbox are allowed while the site uses it.
    """
    hosts = [host.lower() for host in get_settings().EMBED_HOSTS]
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    is_allowed = parts.scheme == "https" and parts.netloc.lower() in hosts
    if UNSAFE.search(url) or not (is_allowed or is_sandbox_url(url)):
        raise EmbedUrlNotAllowed(
            f"{url!r} may not be embedded: it must begin with https:// and one of the hosts in "
            f'MEETERGO["EMBED_HOSTS"], which are {", ".join(hosts) or "none"}.'
        )
    return url


def remove_query(url: str) -> str:
    """Return the URL without its query, which a site may have filled with details of the visitor."""
    return urlunsplit(urlsplit(url)._replace(query=""))


def build_prefill(known: Mapping[str, Any]) -> dict[str, str]:
    """Return what is known about a visitor under the names of the booking page's query parameters."""
    return {
        remote: str(value)
        for name, value in known.items()
        if value not in (None, "")
        for remote in PREFILL_NAMES.get(name, (name,))
    }


def build_embed_url(url: str, known: Mapping[str, Any]) -> str:
    """Return the URL with the known fields in its query, after those that it has already."""
    parts = urlsplit(validate_embed_url(url))
    query = {**dict(parse_qsl(parts.query, keep_blank_values=True)), **build_prefill(known)}
    return urlunsplit(parts._replace(query=urlencode(query)))
