"""Mask the tokens of links and webhook endpoints in Django's request logs.

Django logs the whole path of every 4xx and 5xx answer. On our routes the path contains a token, which lets
its reader change an appointment or send forged webhooks.
"""

from __future__ import annotations

import logging
import re
from typing import Any

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
        masked = SIGNED_TOKEN.sub("[token]", message)
        if token := find_token(getattr(record, "request", None)):
            masked = masked.replace(token, "[token]")
        if masked != message:
            record.msg, record.args = masked, ()
        return True


def find_token(request: Any) -> str:
    """Return the token in the path of a request to one of our routes, or an empty string."""
    match = getattr(request, "resolver_match", None)
    if match is None or not APP_NAMES.intersection(match.app_names):
        return ""
    return str(match.kwargs.get("token", ""))


def install_filters() -> None:
    """Add one filter to each logger of requests. Calling it twice changes nothing."""
    for name in REQUEST_LOGGERS:
        logger = logging.getLogger(name)
        if not any(isinstance(known, MaskTokens) for known in logger.filters):
            logger.addFilter(MaskTokens())
