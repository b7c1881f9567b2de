"""Show a form again, with everything typed, when Django's CSRF check refuses it.

A visitor who signs in, or whose cookies expire, while a form is open would otherwise get Django's error page
and lose what was typed. The view receives the reason, changes nothing, and asks to send the form again.
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

#: Django's own logger for refused forms.
logger = logging.getLogger("django.security.csrf")

#: How Django's reasons begin when they concern the token, not the origin or the referrer of the request.
TOKEN_REASONS = ("CSRF cookie", "CSRF token")


class CsrfTokenRejected(HttpResponseForbidden):
    """Refused because of the token alone: the request comes from a page of this site."""

    def __init__(self, reason: str) -> None:
        super().__init__()
        self.reason = reason


class TokenReasonMixin:
    """Report a refused token as CsrfTokenRejected. Requests from other sites are refused as always."""

    def _reject(self, request: HttpRequest, reason: str) -> HttpResponse:
        if reason.startswith(TOKEN_REASONS):
            return CsrfTokenRejected(reason)
        refused: HttpResponse = super()._reject(request, reason)  # type: ignore[misc]
        return refused


@cache
def build_csrf_check(middleware: tuple[str, ...]) -> tuple[type[CsrfViewMiddleware], bool]:
    """Return the check to use, derived from the site's CSRF middleware, and whether that one is installed."""
    classes = [import_string(name) for name in middleware]
    installed = [one for one in classes if isinstance(one, type) and issubclass(one, CsrfViewMiddleware)]
    base = installed[0] if installed else CsrfViewMiddleware
    return type("CsrfCheck", (TokenReasonMixin, base), {}), bool(installed)


def handle_csrf_failure(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Pass ``csrf_error`` to the view: the text for the visitor if the form must not be acted on, else ""."""

    @wraps(view)
    def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        check_class, is_installed = build_csrf_check(tuple(django_settings.MIDDLEWARE))
        check = check_class(view)
        if not is_installed:
            check.process_request(request)
        refused: Any = check.process_view(request, view, args, kwargs)
        if refused is None:
            response = view(request, *args, csrf_error="", **kwargs)
        elif isinstance(refused, CsrfTokenRejected):
            response = show_form_again(view, request, refused, args, kwargs)
        else:
            response = refused
        if not is_installed:
            check.process_response(request, response)
        return response

    # The middleware would refuse the form before this wrapper; the same check runs here instead.
    return csrf_exempt(wrapper)


def show_form_again(
    view: Callable[..., HttpResponse],
    request: HttpRequest,
    refused: CsrfTokenRejected,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> HttpResponse:
    # The path is not logged: it may contain a secret link.
    logger.warning("Forbidden (%s): the form is shown again.", refused.reason)
    try:
        return view(request, *args, csrf_error=describe_csrf_error(refused.reason), **kwargs)
    except UnreadablePostError:
        return refused  # the body did not arrive in full, so there is no form to show again


def describe_csrf_error(reason: str) -> str:
    # With CSRF_USE_SESSIONS the token may have ended with the session, whatever the browser sent.
    if reason == REASON_NO_CSRF_COOKIE and not django_settings.CSRF_USE_SESSIONS:
        return gettext(
            "Nothing was sent, because your browser sent no cookie with the form. "
            "Nothing is lost: allow cookies for this site and send the form again."
        )
    return gettext(
        "Nothing was sent, because you have signed in or out since this page was opened. "
        "Nothing is lost: please send the form again."
    )
