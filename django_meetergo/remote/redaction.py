"""Keeps secrets out of logs: ours, and those of the HTTP library, which prints whole paths."""

from __future__ import annotations

import logging
import re

# Credentials, and the secret that is a segment of the attendee's cancel route.
SECRETS = re.compile(r"rgo-[\w-]+|ak_live:[\w:-]+|(?<=/booking/confirm/cancel/)[^\s\"'?{]+|(?i:bearer )\S+")
REDACTED_LOGGERS = ("django_meetergo.remote", "urllib3.connectionpool")


def redact(text: str) -> str:
    """The text with everything replaced that looks like one of our secrets."""
    return SECRETS.sub("[hidden]", text)


class RedactSecrets(logging.Filter):
    """Lets every record pass, without its secrets."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        hidden = redact(message)
        if hidden != message:
            record.msg, record.args = hidden, ()
        return True


def install_filters() -> None:
    """Put one filter on each logger that could print a secret; doing it twice changes nothing."""
    for name in REDACTED_LOGGERS:
        logger = logging.getLogger(name)
        if not any(isinstance(known, RedactSecrets) for known in logger.filters):
            logger.addFilter(RedactSecrets())
