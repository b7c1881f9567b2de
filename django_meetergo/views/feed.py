"""The calendar feed of staff: a secret address that calendar apps fetch."""

from __future__ import annotations

from hashlib import sha256
from urllib.parse import urlsplit

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.utils import timezone as clock
from django.utils.cache import get_conditional_response
from django.views.decorators.http import require_safe

from django_meetergo import links
from django_meetergo.conf import get_settings
from django_meetergo.models import CalendarFeed
from django_meetergo.services import feeds
from django_meetergo.views.decorators import limit_wrong_links, page
from django_meetergo.views.rendering import render_not_found


@page
@login_not_required
@require_safe
def feed(request: HttpRequest, token: str) -> HttpResponse:
    """Return the feed, or 304 when the app has it already; 404 once it is revoked."""
    response = limit_wrong_links(show_feed, request, token)
    response["X-Robots-Tag"] = "noindex"
    return response


def show_feed(request: HttpRequest, token: str) -> HttpResponse:
    rows = CalendarFeed.objects.select_related("user")
    found = links.find_by_token(rows, token, salt=links.FEED_SALT)
    if found is None or not feeds.is_readable(found):
        return render_not_found(request)
    now = clock.now()
    site = urlsplit(get_settings().SITE_URL).hostname or request.get_host()
    body = feeds.build_feed(feed=found, site=site, now=now)
    feeds.record_fetch(feed=found, now=now)
    response = HttpResponse(body, content_type="text/calendar; charset=utf-8")
    response["ETag"] = etag = f'"{sha256(body).hexdigest()}"'
    response["Cache-Control"] = "private, no-cache"
    response["Content-Disposition"] = 'inline; filename="appointments.ics"'
    answer = get_conditional_response(request, etag=etag, response=response)
    return answer if isinstance(answer, HttpResponse) else response
