"""Render a page, or the fragment of it that the page's script requests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.cache import patch_vary_headers

from django_meetergo.conf import get_settings
from django_meetergo.presentation.page_urls import PageUrl, parse_widget

SEE_OTHER = 303

FRAGMENT_HEADER, WIDGET_HEADER = "X-Meetergo-Fragment", "X-Meetergo-Widget"
#: Template of each fragment. ``calendar`` is the month and the times of its chosen day, ``all`` is every part
#: that depends on the zone.
FRAGMENTS = {
    "all": "meetergo/includes/all.html",
    "calendar": "meetergo/includes/times.html",
    "slots": "meetergo/includes/slots.html",
    "zone": "meetergo/includes/timezone.html",
}


def render_page(
    request: HttpRequest,
    template: str,
    context: Mapping[str, Any] | None = None,
    *,
    status: int = 200,
    vary: Sequence[str] = (),
) -> HttpResponse:
    """Render a template of the package inside the site's base template."""
    settings = get_settings()
    common = {
        "base_template": settings.BASE_TEMPLATE,
        "color_scheme": settings.COLOR_SCHEME,
        "contact": settings.CONTACT,
        "element": "meetergo-page",
    }
    response = render(request, template, {**common, **(context or {})}, status=status)
    # The time zone and the details typed before come from cookies.
    patch_vary_headers(response, ["Cookie", *vary])
    return response


def render_times_page(
    request: HttpRequest, template: str, context: Mapping[str, Any], *, status: int = 200
) -> HttpResponse:
    """Render a page with free times, or only the fragment that the request asks for."""
    fragment = get_fragment_template(request)
    widget = parse_widget(request.headers.get(WIDGET_HEADER, "")) if fragment else {}
    response = render_page(
        request,
        fragment or template,
        {"element": "meetergo-booking", **context, **widget},
        status=status,
        vary=[FRAGMENT_HEADER, WIDGET_HEADER],
    )
    if request.GET:
        # Search engines index the first page only, not each month and day of the next half year.
        response["X-Robots-Tag"] = "noindex, nofollow"
    return response


def is_fragment_request(request: HttpRequest) -> bool:
    """Return whether the request comes from the script of a page or of a widget."""
    return FRAGMENT_HEADER in request.headers or WIDGET_HEADER in request.headers


def get_fragment_template(request: HttpRequest) -> str | None:
    """Return the template of the requested fragment; None for a whole page."""
    return FRAGMENTS.get(request.headers.get(FRAGMENT_HEADER, ""))


def build_page_url(request: HttpRequest, path: str, query: Mapping[str, str]) -> PageUrl:
    """Return the page's own URL, relative ("?…") where its links are only used on that page itself."""
    is_same_page = request.path == path and WIDGET_HEADER not in request.headers
    return PageUrl("" if is_same_page else path, query)


def set_cookie(
    request: HttpRequest, response: HttpResponse, name: str, value: str, *, age: timedelta, path: str = ""
) -> None:
    """Set a cookie that no script can read; sent to the pages of the package unless ``path`` is given."""
    response.set_cookie(
        name,
        value,
        max_age=age,
        path=path or reverse("meetergo:index"),
        secure=request.is_secure(),
        httponly=True,
        samesite="Lax",
    )


def redirect_after_post(path: str) -> HttpResponseRedirect:
    """Redirect with 303, so that the browser follows with a GET."""
    return HttpResponseRedirect(path, status=SEE_OTHER)


def render_not_found(request: HttpRequest) -> HttpResponse:
    """Answer 404 with one text for every wrong link, so that it does not reveal what exists."""
    index = reverse("meetergo:index") if get_settings().SHOW_INDEX else ""
    context = {"index": index, "send_links": get_settings().SITE_URL}
    return render_page(request, "meetergo/not_found.html", context, status=404)
