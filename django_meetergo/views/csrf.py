"""A form that cannot be told from a forged one is shown again instead of thrown away.

Somebody signs in, or their cookies go, while a form is open: Django then refuses it with a page of its own,
and what was typed is lost. Here the view is told, does nothing with it, and asks to send it again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache, wraps
from typing import Any

from django.conf import settings as django_settings
from django.http import HttpRequest, HttpResponse, HttpResponseForbidden, UnreadablePostError
from django.middleware.csrf import REASON_NO_CSRF_COOKIE, CsrfViewMiddleware
from django.utils.module_loading import import_string
from django.utils.translation import gettext
from django.views.decorators.csrf import csrf_exempt

#: Where Django tells of the forms it refuses.
logger = logging.getLogger("django.security.csrf")

#: How Django's reasons begin that are about the form's token and not about the page the form stood on.
TOKEN_REASONS = ("CSRF cookie", "CSRF token")


class CsrfRejected(HttpResponseForbidden):
    """Refused for its token alone."""

    def __init__(self, reason: str) -> None:
        super().__init__()
        self.reason = reason


class RaisingCsrfMiddleware:
    """What a check of ours does differently. A form from another site's page is refused as ever."""

    def _reject(self, request: HttpRequest, reason: str) -> HttpResponse:
        if reason.startswith(TOKEN_REASONS):
            return CsrfRejected(reason)
        refused: HttpResponse = super()._reject(request, reason)  # type: ignore[misc]
        return refused


@cache
def find_csrf_middleware(middleware: tuple[str, ...]) -> tuple[type[CsrfViewMiddleware], bool]:
    """The site's own check, or Django's, as one of ours; and whether the site runs it before every view."""
    classes = [import_string(name) for name in middleware]
    own = [one for one in classes if isinstance(one, type) and issubclass(one, CsrfViewMiddleware)]
    base = own[0] if own else CsrfViewMiddleware
    return type("FormCheck", (RaisingCsrfMiddleware, base), {}), bool(own)


def handle_csrf_failure(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Give the view ``doubt``: what to tell the visitor about a form it must not act on, else nothing."""

    @wraps(view)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        kind, is_run = find_csrf_middleware(tuple(django_settings.MIDDLEWARE))
        check = kind(view)
        if not is_run:
            check.process_request(request)
        refused: Any = check.process_view(request, view, args, kwargs)
        if refused is None:
            response = view(request, *args, doubt="", **kwargs)
        elif isinstance(refused, CsrfRejected):
            response = show_form_again(view, request, refused, args, kwargs)
        else:
            response = refused
        if not is_run:
            check.process_response(request, response)
        return response

    # The middleware's check, which would refuse it before us, is the one we make ourselves.
    return csrf_exempt(answer)


def show_form_again(
    view: Callable[..., HttpResponse],
    request: HttpRequest,
    refused: CsrfRejected,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> HttpResponse:
    # Not the address: it may be somebody's secret.
    logger.warning("Forbidden (%s): asked to send the form again.", refused.reason)
    try:
        return view(request, *args, doubt=describe_failure(refused.reason), **kwargs)
    except UnreadablePostError:
        return refused  # it never arrived in full, so there is nothing to show again


def describe_failure(reason: str) -> str:
    # A secret that is kept in the session may have gone with it, whatever the browser sent.
    if reason == REASON_NO_CSRF_COOKIE and not django_settings.CSRF_USE_SESSIONS:
        return gettext(
            "Nothing was sent, because your browser sent no cookie with the form. "
            "Nothing is lost: allow cookies for this site and send it again."
        )
    return gettext(
        "Nothing was sent, because you have signed in or out since this page was opened. "
        "Nothing is lost: please send it again."
    )
