"""Mask the tokens of links and webhook endpoints in Django's logs.

Django logs the whole path of every 4xx and 5xx answer. On our routes the path contains a token, which lets
its reader change an appointment or send forged webhooks. At DEBUG level it logs the whole context of a
template that lacks a variable, with the request and the people on the page.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any

from django_meetergo.conf import get_raw_settings

#: A signed link: a public id and its signature.
SIGNED_TOKEN = re.compile(r"\b[0-9a-f]{32}~[\w-]{20,}")
#: ``django.server`` is the log of ``runserver``.
REQUEST_LOGGERS = ("django.request", "django.security.csrf", "django.server")
#: Application names of the URL patterns whose ``token`` is secret.
APP_NAMES = frozenset({"meetergo", "meetergo_rest"})


class MaskTokens(logging.Filter):
    """Mask the token of the route that a record is about, and everything that looks like a signed link."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        masked = mask_tokens(message, getattr(record, "request", None))
        if masked != message:
            record.msg, record.args = masked, ()
        return True


class DropContexts(logging.Filter):
    """Drop the traceback of a missing variable, whose text is the context, if the context is ours."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info and "meetergo" in f"{record.getMessage()} {record.exc_info[1]}":
            record.exc_info = record.exc_text = None
        return True


def find_token(request: Any) -> str:
    """Return the token in the path of a request to one of our routes, or an empty string."""
    match = getattr(request, "resolver_match", None)
    if match is None or not APP_NAMES.intersection(match.app_names):
        return ""
    return str(match.kwargs.get("token", ""))


def mask_tokens(text: str, request: Any = None) -> str:
    """Mask what looks like a signed link, the token of the route of a request, and the site's webhook tokens.

    ``runserver`` logs each request line without its route.
    """
    masked = SIGNED_TOKEN.sub("[token]", text)
    for token in filter(None, (find_token(request), *list_webhook_tokens())):
        masked = masked.replace(token, "[token]")
    return masked


def list_webhook_tokens() -> list[str]:
    """Return the webhook tokens that can be read from the settings, which may be wrong as a whole."""
    given = get_raw_settings()
    tokens = given.get("WEBHOOK_TOKENS", ()) if isinstance(given, Mapping) else ()
    if not isinstance(tokens, list | tuple):
        return []
    return [token for token in tokens if isinstance(token, str) and len(token) > 1]


def install_filters() -> None:
    """Add one filter to each logger that may print a token. Calling it twice changes nothing."""
    for name in REQUEST_LOGGERS:
        install_filter(name, MaskTokens())
    install_filter("django.template", DropContexts())


def install_filter(name: str, added: logging.Filter) -> None:
    logger = logging.getLogger(name)
    if not any(isinstance(known, type(added)) for known in logger.filters):
        logger.addFilter(added)
