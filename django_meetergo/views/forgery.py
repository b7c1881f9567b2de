"""A form that cannot be told from a forged one is shown again instead of thrown away.

Somebody signs in, or their cookies go, while a form is open: Django then refuses it with a page of its own,
and what was typed is lost. Here the view is told, does nothing with it, and asks to send it again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseForbidden
from django.middleware.csrf import REASON_NO_CSRF_COOKIE, CsrfViewMiddleware
from django.utils.translation import gettext
from django.views.decorators.csrf import csrf_exempt

logger = logging.getLogger(__name__)

#: How Django's reasons begin that are about the form's token and not about the page the form stood on.
ABOUT_TOKEN = ("CSRF cookie", "CSRF token")


class Doubted(HttpResponseForbidden):
    """Refused for its token alone."""

    def __init__(self, reason: str) -> None:
        super().__init__()
        self.reason = reason


class FormCheck(CsrfViewMiddleware):
    """Django's own check. A form from another site's page is refused as ever."""

    def _reject(self, request: HttpRequest, reason: str) -> HttpResponse:
        if reason.startswith(ABOUT_TOKEN):
            return Doubted(reason)
        refused: HttpResponse = super()._reject(request, reason)  # type: ignore[misc]
        return refused


def doubts_forms(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Give the view ``doubt``: what to tell the visitor about a form it must not act on, else nothing."""

    @wraps(view)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        check = FormCheck(view)
        check.process_request(request)
        refused = check.process_view(request, view, args, kwargs)
        if refused is None:
            response = view(request, *args, doubt="", **kwargs)
        elif isinstance(refused, Doubted):
            logger.warning("A form was shown again instead of acted upon: %s", refused.reason)
            response = view(request, *args, doubt=tell_doubt(refused.reason), **kwargs)
        else:
            response = refused
        check.process_response(request, response)
        return response

    # The middleware's check, which would refuse it before us, is the one we make ourselves.
    return csrf_exempt(answer)


def tell_doubt(reason: str) -> str:
    if reason == REASON_NO_CSRF_COOKIE:
        return gettext(
            "Nothing was sent, because your browser sent no cookie with the form. "
            "Nothing is lost: allow cookies for this site and send it again."
        )
    return gettext(
        "Nothing was sent, because you have signed in or out since this page was opened. "
        "Nothing is lost: please send it again."
    )
