"""Decorators that every page of the package uses."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import wraps
from math import ceil
from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse

from django_meetergo.languages import use_text_language
from django_meetergo.transactions import DATABASE_ERRORS, is_database_away, outside_transactions
from django_meetergo.views.rendering import render_page
from django_meetergo.visitors import Limit, get_client_address

logger = logging.getLogger(__name__)

View = Callable[..., HttpResponse]

METHODS = ("GET", "HEAD", "POST")
NOT_FOUND = 404

#: Links that do not exist which one network address may open before it has to wait.
WRONG_LINK_LIMIT = Limit(name="wrong-links", times=30, seconds=600)


def page(view: View) -> View:
    """Run a view in one language, outside ``ATOMIC_REQUESTS``; answer 503 when the database is away.

    Services commit before they call meetergo, so no transaction of the request may be open. Other database
    errors, such as a missing table, are raised: waiting does not repair them.
    """

    @wraps(view)
    def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        with use_text_language() as language:
            try:
                response = view(request, *args, **kwargs)
            except DATABASE_ERRORS as error:
                if not is_database_away(error):
                    raise
                # The path is not logged: it may contain a secret link.
                logger.exception("The database is away; the page %s answers 503.", view.__name__)
                response = render_database_down(request)
                hide_address(response)
        response.headers.setdefault("Content-Language", language)
        return response

    return outside_transactions(wrapper)


def render_database_down(request: HttpRequest) -> HttpResponse:
    """Answer 503 inside the site's base template; inside our own where that needs the database too."""
    name = "meetergo/database_down.html"
    try:
        return render_page(request, name, status=503)
    except DATABASE_ERRORS:
        return render_page(request, name, {"base_template": "meetergo/base.html"}, status=503)


def token_page(view: View) -> View:
    """Protect a page whose URL is a secret: not cached, not indexed, not sent to other sites as referrer.

    The URL is the permission, so a site behind ``LoginRequiredMiddleware`` asks for no login.
    """

    @wraps(view)
    def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        response = limit_wrong_links(view, request, *args, **kwargs)
        hide_address(response)
        return response

    return login_not_required(wrapper)


def hide_address(response: HttpResponse) -> None:
    """Keep the URL, which may be a secret, out of caches, search engines and the referrer for other sites."""
    response["Cache-Control"] = "no-store"
    response["X-Robots-Tag"] = "noindex"
    response["Referrer-Policy"] = "same-origin"


def limit_wrong_links(view: View, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
    """Answer 429 instead of 404 to a network address that has opened too many wrong links.

    Signatures are checked first, so a valid link always works, whatever others behind the address do.
    """
    response = view(request, *args, **kwargs)
    address = get_client_address(request.META)
    if response.status_code != NOT_FOUND or not address:
        return response
    if wait := WRONG_LINK_LIMIT.get_wait(address):
        response = render_page(request, "meetergo/too_many.html", {"minutes": ceil(wait / 60)}, status=429)
        response["Retry-After"] = str(wait)
        return response
    WRONG_LINK_LIMIT.count(address)
    return response
