"""Keep secrets out of logs, including those of the HTTP library. ``texts.Secret`` hides them in variables."""

from __future__ import annotations

import logging
import re

from django_meetergo.request_logs import install_filter

# Credentials, and the secret that is a segment of the attendee's cancel route.
SECRETS = re.compile(r"rgo-[\w-]+|ak_live:[\w:-]+|(?<=/booking/confirm/cancel/)[^\s\"'?{]+|(?i:bearer )\S+")
#: Filters of a logger do not apply to its children, so each logger that prints addresses is listed.
REDACTED_LOGGERS = (
    "django_meetergo.remote",
    "urllib3.connection",
    "urllib3.connectionpool",
    "urllib3.poolmanager",
    "urllib3.util.retry",
)


def redact(text: str) -> str:
    """Replace everything that looks like a credential or a secret of an appointment."""
    return SECRETS.sub("[hidden]", text)


class RedactSecrets(logging.Filter):
    """Redact log records. A record with a secret loses its traceback, too."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        redacted = redact(message)
        if redacted != message:
            record.msg, record.args = redacted, ()
            record.exc_info = record.exc_text = None
        return True


def install_filters() -> None:
    """Add one filter to each logger that may print a secret. Calling it twice changes nothing."""
    for name in REDACTED_LOGGERS:
        install_filter(name, RedactSecrets())
