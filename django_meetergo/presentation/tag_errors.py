"""Report the wrong use of a template tag to the developer, never to a visitor."""

from __future__ import annotations

import logging

from django.conf import settings as django_settings

logger = logging.getLogger("django_meetergo.templatetags.meetergo")


class TagUsageError(ValueError):
    """A template tag got an argument that it cannot use."""


def report_tag_error(message: str) -> None:
    """Raise TagUsageError with ``DEBUG``; else log the message, and the tag renders nothing."""
    if django_settings.DEBUG:
        raise TagUsageError(message)
    logger.error("%s", message)
