"""``{% load meetergo %}``: the booking widget for the site's pages, and meetergo's official embed.

No tag raises because meetergo does not answer: it shows what the booking page shows in that state. Nor does
an undefined variable or an anonymous user break a page: the tag does without it, and logs what is undefined.
A wrong argument raises TagUsageError, a TemplateSyntaxError, with ``DEBUG``, and is logged otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django import template
from django.conf import settings as django_settings
from django.template.loader import render_to_string
from django.templatetags.static import static
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from django_meetergo import embed, links
from django_meetergo.conf import get_settings
from django_meetergo.formatting import (
    format_abbreviated_day,
    format_day,
    format_full_day,
    format_time,
    name_channel,
)
from django_meetergo.languages import get_text_language, use_text_language
from django_meetergo.models import MeetingType
from django_meetergo.presentation import widgets
from django_meetergo.presentation.tag_arguments import (
    is_missing,
    read_attendee,
    read_number,
    read_prefill,
    read_slug,
    read_subject,
    read_user,
    report_missing_urls,
    report_tag_error,
)

register = template.Library()

#: The stylesheets: the choice of a time, and all other pages.
STYLESHEETS = ("meetergo/meetergo.css", "meetergo/pages.css")
#: The same rules in the cascade layer ``meetergo``.
LAYERED_STYLESHEETS = ("meetergo/meetergo-layered.css", "meetergo/pages-layered.css")
#: Their scripts.
SCRIPTS = ("meetergo/meetergo.js", "meetergo/pages.js")
#: A page with more times has the booking widget.
MAX_NEXT_SLOTS = 50
#: Pages whose URL is a secret: no script of another site may run there.
TOKEN_PAGES = frozenset({"outcome", "manage", "reschedule", "cancel", "ics"})


# Assets and filters


@register.simple_tag(takes_context=True)
def meetergo_assets(
    context: template.Context, *, whole: object = True, layered: object = False
) -> SafeString:
    """Render the stylesheets and the scripts, with the request's CSP nonce if a middleware has set one.

    ``whole=False`` leaves out those of the pages; the widget and the next free times do not need them.
    ``layered=True`` puts the rules into the cascade layer ``meetergo``, so that every rule of the site wins.
    """
    nonce = render_nonce(get_nonce(context.get("request")))
    sheets = LAYERED_STYLESHEETS if layered else STYLESHEETS
    styles = format_html_join(
        "",
        '<link rel="stylesheet" href="{}"{}>',
        [(static(sheet), nonce) for sheet in (sheets if whole else sheets[:1])],
    )
    scripts = format_html_join(
        "",
        '<script type="module" src="{}"{}></script>',
        [(static(script), nonce) for script in (SCRIPTS if whole else SCRIPTS[:1])],
    )
    return styles + scripts


@register.simple_tag
def meetergo_color_scheme() -> str:
    """Render the attribute of ``<div class="meetergo">`` that sets the colour scheme of ``COLOR_SCHEME``."""
    scheme = get_settings().COLOR_SCHEME
    return format_html(' data-scheme="{}"', scheme) if scheme != "inherit" else ""


@register.simple_tag
def meetergo_language() -> str:
    """Render the attributes of an element that say in which language its texts are."""
    language = get_text_language()
    direction = "rtl" if language.partition("-")[0] in django_settings.LANGUAGES_BIDI else "ltr"
    return format_html(' lang="{}" dir="{}"', language, direction)


def render_nonce(nonce: str) -> str:
    return format_html(' nonce="{}"', nonce) if nonce else ""


def get_nonce(request: Any) -> str:
    """Return the CSP nonce of django-csp or Django; both are lazy objects that are false until read."""
    for name in ("csp_nonce", "_csp_nonce"):
        nonce = getattr(request, name, None)
        if nonce is not None and (text := str(nonce)):
            return text
    return ""


@register.filter
def meetergo_day(day: object) -> str:
    """Return, for example, “Thursday 3 December”."""
    return format_day(day) if isinstance(day, date) else ""


@register.filter
def meetergo_short_day(day: object) -> str:
    """Return, for example, “Thu 3 Dec”."""
    return format_abbreviated_day(day) if isinstance(day, date) else ""


@register.filter
def meetergo_full_day(day: object) -> str:
    """Return, for example, “Thursday 3 December 2026”."""
    return format_full_day(day) if isinstance(day, date) else ""


@register.filter
def meetergo_time(moment: object) -> str:
    """Return, for example, “09:30”; the datetime must already be in the right zone."""
    return format_time(moment) if isinstance(moment, datetime) else ""


@register.filter
def meetergo_channel(channel: str) -> str:
    """Return, for example, “Video call”."""
    return name_channel(channel) if channel else ""


# The booking widget, the next free times, a user's appointments


@register.simple_tag(takes_context=True)
@report_missing_urls
def meetergo_booking_widget(
    context: template.Context, meeting_type: Any, *, subject: Any = None, heading_level: Any = 2
) -> str:
    """Render step 1, the choice of a time; the form and the outcome are pages of the package.

    ``meeting_type`` is an instance or a slug. ``subject`` links the booking to an object of the site.
    ``heading_level`` is that of the widget's title.
    """
    tag = "meetergo_booking_widget"
    slug = read_slug(tag, meeting_type)
    return slug and widgets.render_booking_widget(
        context.get("request"),
        slug,
        subject=read_subject(tag, subject),
        number=count_on_page(context, "widgets"),
        heading_level=read_number(tag, "heading_level", heading_level, default=2, highest=6),
    )


@register.simple_tag(takes_context=True)
@report_missing_urls
def meetergo_next_slots(
    context: template.Context, meeting_type: Any, count: Any = 3, *, subject: Any = None
) -> str:
    """Render the next free times, each as a link to the booking form."""
    tag = "meetergo_next_slots"
    slug = read_slug(tag, meeting_type)
    return slug and widgets.render_next_slots(
        context.get("request"),
        slug,
        read_number(tag, "count", count, default=3, highest=MAX_NEXT_SLOTS),
        subject=read_subject(tag, subject),
    )


@register.simple_tag
@report_missing_urls
def meetergo_manage_link(attendee: Any, *, absolute: bool = False) -> str:
    """Return the secret URL on which the attendee sees, moves and cancels the appointment."""
    found = read_attendee("meetergo_manage_link", attendee)
    if found is None:
        return ""
    path = links.get_manage_path(found)
    return links.build_absolute_url(path) if absolute else path


@register.simple_tag(takes_context=True)
@report_missing_urls
def meetergo_upcoming(context: template.Context, user: Any) -> str:
    """Render the upcoming appointments of a signed-in user; nothing for other visitors."""
    found = read_user("meetergo_upcoming", user)
    if found is None:
        return ""
    request = context.get("request")
    with use_text_language():
        appointments = widgets.list_upcoming(found, widgets.find_zone(request))
        return render(request, "tags/upcoming", {"appointments": appointments})


def render(request: Any, name: str, context: Mapping[str, Any]) -> SafeString:
    return render_to_string(f"meetergo/{name}.html", dict(context), request=request)


def count_on_page(context: template.Context, name: str) -> int:
    """Return 1 for the first of its kind on a page, 2 for the second, across included templates."""
    request = context.get("request")
    counts: Any = context.render_context if request is None else request.__dict__
    number: int = counts.get(f"_meetergo_{name}", 0) + 1
    counts[f"_meetergo_{name}"] = number
    return number


# meetergo's official embed. It loads meetergo's script, so pages with a secret URL do not render it


def is_token_page(request: Any) -> bool:
    match = getattr(request, "resolver_match", None)
    return match is not None and match.app_name == "meetergo" and match.url_name in TOKEN_PAGES


@dataclass(frozen=True, kw_only=True)
class Target:
    """The URL of a meetergo booking page: plain, and with the prefilled details of the visitor."""

    url: str
    address: str


def find_target(
    context: template.Context,
    tag: str,
    given: Any,
    prefill: Any,
    known: Mapping[str, Any],
) -> Target | None:
    """Return the page to embed; None on token pages and for a URL that is undefined or not allowed."""
    if is_token_page(context.get("request")):
        return None
    if not given:
        is_missing(tag, "the URL", given)
        return None
    url = given.booking_url if isinstance(given, MeetingType) else str(given)
    try:
        return Target(
            url=embed.validate_embed_url(url),
            address=embed.build_embed_url(url, {**read_prefill(tag, prefill), **known}),
        )
    except embed.EmbedUrlNotAllowed as error:
        report_tag_error(tag, str(error))
        return None


@register.simple_tag(takes_context=True)
def meetergo_script(context: template.Context) -> str:
    """Render meetergo's script and its settings: once, anywhere on a page with one of the tags below."""
    request = context.get("request")
    if is_token_page(request):
        return ""
    shown = {"script": embed.SCRIPT, "nonce": get_nonce(request)}
    return render_init(context, {"forwardQueryParams": False}, "embed/script", shown)


@register.simple_tag(takes_context=True)
def meetergo_inline(context: template.Context, url: Any, prefill: Any = None, **known: Any) -> str:
    """Render a meetergo booking page in a frame."""
    target = find_target(context, "meetergo_inline", url, prefill, known)
    if target is None:
        return ""
    framed = embed.build_embed_url(target.address, {"embed": "true"})
    return render(None, "embed/inline", {"address": target.address, "framed": framed})


@register.simple_tag(takes_context=True)
def meetergo_button(
    context: template.Context,
    url: Any,
    text: Any,
    prefill: Any = None,
    *,
    css_class: str = "",
    **known: Any,
) -> str:
    """Render a link to a meetergo booking page, which the script opens above this page."""
    target = find_target(context, "meetergo_button", url, prefill, known)
    if target is None:
        return ""
    shown = {"url": target.url, "address": target.address, "text": text, "css_class": css_class}
    return render(None, "embed/button", shown)


@register.simple_tag(takes_context=True)
def meetergo_floating_button(
    context: template.Context,
    url: Any,
    text: Any,
    prefill: Any = None,
    *,
    position: str = "bottom-right",
    background: str = "",
    color: str = "",
    animation: str = "none",
    **known: Any,
) -> str:
    """Render a button in a corner of the page that opens a meetergo booking page.

    Nothing of the visitor leaves before a click: the page is not loaded in advance.
    """
    target = find_target(context, "meetergo_floating_button", url, prefill, known)
    if target is None:
        return ""
    button = {
        "link": target.address,
        "text": str(text),
        "position": position,
        "animation": animation,
        "backgroundColor": background,
        "textColor": color,
    }
    return render_launcher(context, {"prerender": False}, "floatingButton", button, target, text)


@register.simple_tag(takes_context=True)
def meetergo_sidebar(
    context: template.Context,
    url: Any,
    text: Any,
    prefill: Any = None,
    *,
    position: str = "right",
    width: str = "",
    background: str = "",
    color: str = "",
    **known: Any,
) -> str:
    """Render a tab at the edge of the page that opens a meetergo booking page beside it.

    meetergo's script loads its page at once; the details of the visitor, and a query of the URL, are added
    when it is opened.
    """
    target = find_target(context, "meetergo_sidebar", url, prefill, known)
    if target is None:
        return ""
    page = embed.remove_query(target.url)
    sidebar = {
        "link": page,
        "buttonText": str(text),
        "position": position,
        "width": width,
        "backgroundColor": background,
        "textColor": color,
    }
    extra = {"prefilledLink": target.address} if target.address != page else {}
    return render_launcher(context, extra, "sidebar", sidebar, target, text)


def render_launcher(
    context: template.Context,
    extra: Mapping[str, Any],
    kind: str,
    options: Mapping[str, str],
    target: Target,
    text: Any,
) -> str:
    """Render the settings of a button or sidebar, each in a namespace of its own.

    A second ``init`` of one namespace would remove the first button or sidebar.
    """
    present = {name: value for name, value in options.items() if value}
    namespace = f"{kind}-{count_on_page(context, kind)}"
    settings = {"ns": namespace, "forwardQueryParams": False, **extra, kind: present}
    return render_init(context, settings, "embed/init", {"url": target.url, "text": text})


def render_init(
    context: template.Context, options: Mapping[str, Any], name: str, shown: Mapping[str, Any]
) -> str:
    number = count_on_page(context, "embeds")
    return render(None, name, {**shown, "options": options, "name": f"meetergo-init-{number}"})
