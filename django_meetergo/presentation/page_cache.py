"""Free times as they were last rendered, for everybody who arrives alike.

It is kept while it is true: as long as the copies of free times and the directory are those it was made
from, and to the end of the minute at most, because times pass. It is rendered without the request, so nothing
of one visitor reaches another; the token of a form is put in for each.
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

KEEP_SECONDS = 60  # seconds


@dataclass(frozen=True, kw_only=True)
class PagePart:
    """Rendered free times, the title for a page of their own, and the copies they come from.

    ``mark`` stands in the HTML where each visitor's own form token goes.
    """

    title: str
    html: str
    mark: str
    sources: Sequence[Source]

    def give_to(self, request: HttpRequest | None) -> SafeString:
        """The HTML for one visitor, with a form token of theirs where it needs one."""
        if request is None or not self.mark or self.mark not in self.html:
            return mark_safe(self.html)  # noqa: S308 - our own templates rendered it
        return mark_safe(self.html.replace(self.mark, get_token(request)))  # noqa: S308


#: Nothing to show, for somebody who asked for what there is not.
NO_PAGE_PART = PagePart(title="", html="", mark="", sources=())


def render_page_part(
    template: str,
    context: Mapping[str, Any],
    *,
    sources: Sequence[Source] = (),
    title: str = "",
) -> PagePart:
    """``sources`` are the copies that the context was made from; none, if it is not to be kept."""
    mark = get_random_string(32)  # nobody knows it, so nobody can have it replaced anywhere else
    html = render_to_string(f"meetergo/{template}.html", {**context, "csrf_token": mark})
    return PagePart(title=title, html=html, mark=mark, sources=sources)


@dataclass(frozen=True, kw_only=True)
class FirstVisit:
    """A way to come to free times: all who come so see the same, until the directory has another version."""

    key: str
    now: datetime
    version: str

    def find(self) -> PagePart | None:
        """The part that was kept for it, if it is still true."""
        kept = cache.get(self.key)
        if not kept or kept["version"] != self.version:
            return None
        part = PagePart(**kept["part"])
        return part if are_current(part.sources, self.now) else None

    def keep(self, part: PagePart) -> None:
        """Keep it for the next ones; not where a copy it should show could not be had."""
        if part.sources:
            kept = {"version": self.version, "part": vars(part)}
            cache.set(self.key, kept, KEEP_SECONDS)


def get_first_visit(request: HttpRequest, zone: ZoneInfo, now: datetime, *shown: object) -> FirstVisit | None:
    """``shown`` is all that makes a difference besides the site's name, language, zone and the minute.

    None while a site is being developed, for its templates change without our knowing; for a zone that few
    ask for, so that nobody can fill the cache with pages; and where no browser asks.
    """
    host = get_host_name(request)
    if django_settings.DEBUG or not host or zone.key not in {*COMMON_ZONES, django_settings.TIME_ZONE}:
        return None
    # One cache may serve several sites, told apart by their names, with meeting types of their own.
    parts = (host, get_language(), zone.key, now.timestamp() // KEEP_SECONDS, *shown)
    key = "meetergo:arrival:" + hashlib.sha256(repr(parts).encode()).hexdigest()[:32]
    return FirstVisit(key=key, now=now, version=directory.get_version())


def get_host_name(request: HttpRequest) -> str:
    """The site's name without a port, of which any is allowed; empty for a request without one."""
    try:
        return split_domain_port(request.get_host())[0]
    except (DisallowedHost, KeyError):
        return ""
