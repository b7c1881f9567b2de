"""Cache the rendered free times of a page or a widget for all visitors who would see the same.

An entry is used as long as the cached availability documents and the directory are those it was made from,
and until the end of the minute at most, because times pass. It is rendered without the request, so nothing
of one visitor reaches another; the CSRF token is filled in for each.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings as django_settings
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest
from django.http.request import split_domain_port
from django.middleware.csrf import get_token
from django.template.loader import render_to_string
from django.utils.crypto import get_random_string
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language

from django_meetergo.cache import cache
from django_meetergo.services.availability.slots import are_current
from django_meetergo.services.availability.store import Source
from django_meetergo.services.sync import directory
from django_meetergo.timezones import COMMON_ZONES

CACHE_SECONDS = 60


@dataclass(frozen=True, kw_only=True)
class PagePart:
    """Rendered free times, the page title, and the availability documents they were made from.

    ``csrf_placeholder`` is the text in ``html`` that is replaced by each visitor's CSRF token.
    """

    title: str
    html: str
    csrf_placeholder: str
    sources: Sequence[Source]

    def render_for(self, request: HttpRequest | None) -> SafeString:
        """Return the HTML for one visitor, with a CSRF token if it contains a form that needs one."""
        if request is None or not self.csrf_placeholder or self.csrf_placeholder not in self.html:
            return mark_safe(self.html)  # noqa: S308 - rendered from templates
        html = self.html.replace(self.csrf_placeholder, get_token(request))
        return mark_safe(html)  # noqa: S308 - rendered from templates


EMPTY_PART = PagePart(title="", html="", csrf_placeholder="", sources=())


def render_page_part(
    template: str,
    context: Mapping[str, Any],
    *,
    sources: Sequence[Source] = (),
    title: str = "",
) -> PagePart:
    """Render a template of the package. Without ``sources`` the part is not cached."""
    # Random, so that no request can contain it and have it replaced in another place.
    placeholder = get_random_string(32)
    html = render_to_string(f"meetergo/{template}.html", {**context, "csrf_token": placeholder})
    return PagePart(title=title, html=html, csrf_placeholder=placeholder, sources=sources)


@dataclass(frozen=True, kw_only=True)
class CacheEntry:
    """The place in the cache for a part that is the same for many visitors."""

    key: str
    now: datetime
    version: str

    def load(self) -> PagePart | None:
        """Return the cached part; None if there is none or if its sources have changed."""
        entry = cache.get(self.key)
        if not entry or entry["version"] != self.version:
            return None
        part = PagePart(**entry["part"])
        return part if are_current(part.sources, self.now) else None

    def save(self, part: PagePart) -> None:
        """Store the part, unless one of its availability documents could not be read."""
        if part.sources:
            cache.set(self.key, {"version": self.version, "part": vars(part)}, CACHE_SECONDS)


def build_cache_entry(
    request: HttpRequest, zone: ZoneInfo, now: datetime, *variants: object
) -> CacheEntry | None:
    """Return the entry for the request's host, language, zone, minute and ``variants``.

    None with ``DEBUG``, so that changed templates show at once; for uncommon zones, so that nobody can fill
    the cache; and for a request without a valid host.
    """
    host = get_host_name(request)
    if django_settings.DEBUG or not host or zone.key not in {*COMMON_ZONES, django_settings.TIME_ZONE}:
        return None
    # One cache may serve several sites, which differ in their host and their meeting types.
    parts = (host, get_language(), zone.key, now.timestamp() // CACHE_SECONDS, *variants)
    key = "meetergo:page:" + hashlib.sha256(repr(parts).encode()).hexdigest()[:32]
    return CacheEntry(key=key, now=now, version=directory.get_version())


def get_host_name(request: HttpRequest) -> str:
    """Return the host without its port, since any port is allowed; empty if there is no valid host."""
    try:
        return split_domain_port(request.get_host())[0]
    except (DisallowedHost, KeyError):
        return ""
