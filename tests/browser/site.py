"""A site built with the template tags."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.http import HttpRequest, HttpResponse
from django.template import engines
from django.urls import path

from tests.browser.policy import POLICY_WITHOUT_TRUSTED_TYPES
from tests.urls import urlpatterns as booking_pages

FRAME = """{% load i18n meetergo %}<!doctype html>
{% get_current_language as language %}{% get_current_language_bidi as is_rtl %}
<html lang="{{ language }}"{% if is_rtl %} dir="rtl"{% endif %}><head>
<meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">
<title>A site</title>{% meetergo_assets %}{% if embeds %}{% meetergo_script %}{% endif %}</head>
<body class="mg-body"><main><h1>A site</h1>BODY</main></body></html>"""

TIMES = """{% meetergo_booking_widget "intro-call" %}<h2>Soon</h2>{% meetergo_next_slots "consultation" 3 %}
{% meetergo_booking_widget "consultation" heading_level=2 %}"""
UPCOMING = """<h2>Yours</h2>{% meetergo_upcoming account %}"""
CONTACT = """{% meetergo_inline url email="jane@example.com" %}
<p>{% meetergo_button url "Book at meetergo" %}</p>
{% meetergo_floating_button url "Book" %}"""
BOOKING_URL = "https://cal.meetergo.com/clinic/intro"
#: What the official embed needs in addition.
EMBED_POLICY = (
    POLICY_WITHOUT_TRUSTED_TYPES.replace("script-src 'self'", "script-src 'self' https://cdn.meetergo.com")
    .replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")
    .replace("connect-src", "frame-src https://cal.meetergo.com; connect-src")
)


def render(request: HttpRequest, body: str, **context: Any) -> HttpResponse:
    page = engines["django"].from_string(FRAME.replace("BODY", body))
    return HttpResponse(page.render(context, request))


def times(request: HttpRequest) -> HttpResponse:
    return render(request, TIMES)


def upcoming(request: HttpRequest) -> HttpResponse:
    return render(request, UPCOMING, account=get_user_model().objects.first())


def contact(request: HttpRequest) -> HttpResponse:
    response = render(request, CONTACT, url=BOOKING_URL, embeds=True)
    response["Content-Security-Policy"] = EMBED_POLICY
    return response


urlpatterns = [
    *booking_pages,
    path("site/times/", times),
    path("site/upcoming/", upcoming),
    path("site/contact/", contact),
]
