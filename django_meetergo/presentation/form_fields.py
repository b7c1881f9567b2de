"""Form fields: text of one line, a name, an e-mail address, several e-mail addresses."""

from __future__ import annotations

import re
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from django_meetergo.formatting import has_link
from django_meetergo.services.booking.validation import (
    MAX_GUESTS,
    is_email_address,
    list_guests,
)

LINE_BREAKS = re.compile(r"[\r\n\u2028\u2029]")
ADDRESS_SEPARATORS = re.compile(r"[\s,;]+")


class TextField(forms.CharField):
    """Text of several lines. A line break counts as one character, as it does in the browser."""

    widget = forms.Textarea

    def to_python(self, value: Any) -> str:
        return str(super().to_python(value)).replace("\r\n", "\n")


class LineField(forms.CharField):
    """Text of one line. It ends up in mail headers, so line breaks are refused."""

    def clean(self, value: Any) -> str:
        if LINE_BREAKS.search(str(value or "").strip()):
            raise ValidationError(_("Write this on one line."), code="line_break")
        return str(super().clean(value))


class NameField(LineField):
    """A name. Mails greet the attendee by it, so it must not contain a link."""

    def clean(self, value: Any) -> str:
        text = super().clean(value)
        if has_link(text):
            raise ValidationError(
                _("Write the name without a web or e-mail address, and with a space after each full stop."),
                code="link",
            )
        return text


class EmailLineField(LineField):
    widget = forms.EmailInput

    def clean(self, value: Any) -> str:
        text = super().clean(value)
        if text and not is_email_address(text):
            raise ValidationError(_("Enter an e-mail address like name@example.com"), code="invalid")
        return text


class AddressesField(forms.CharField):
    """E-mail addresses separated by line breaks, commas, semicolons or spaces; cleaned to a list."""

    widget = forms.Textarea

    def clean(self, value: Any) -> list[str]:
        text = str(super().clean(value))
        found = list_guests(filter(None, ADDRESS_SEPARATORS.split(text)), attendee_email="")
        if len(found) > MAX_GUESTS:
            message = ngettext(
                "You can invite at most %(limit)s other person.",
                "You can invite at most %(limit)s other people.",
                MAX_GUESTS,
            )
            raise ValidationError(message % {"limit": MAX_GUESTS}, code="too_many")
        for address in found:
            if not is_email_address(address):
                raise ValidationError(
                    _("“%(address)s” is not an e-mail address. Write one like name@example.com."),
                    code="invalid",
                    params={"address": address[:80]},
                )
        return found
