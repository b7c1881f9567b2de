"""Django's error pages and mails to ``ADMINS`` without the tokens of links and webhook endpoints."""

from __future__ import annotations

from django.utils.safestring import SafeString
from django.views.debug import ExceptionReporter

from django_meetergo.request_logs import mask_tokens


class MaskingReporter(ExceptionReporter):
    """Mask tokens in what Django prints about an error: the address, and variables that contain it.

    Set ``DEFAULT_EXCEPTION_REPORTER = "django_meetergo.crash_reports.MaskingReporter"``.
    """

    def get_traceback_html(self) -> SafeString:
        """Return the page for a browser, or for a mail."""
        return SafeString(mask_tokens(super().get_traceback_html(), self.request))

    def get_traceback_text(self) -> SafeString:
        """Return the text for a mail."""
        return SafeString(mask_tokens(super().get_traceback_text(), self.request))
