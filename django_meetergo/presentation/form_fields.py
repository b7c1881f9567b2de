"""Form fields: text of one line, an e-mail address, several e-mail addresses."""

from __future__ import annotations

import re
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from django_meetergo.services.booking.validation import MAX_GUESTS

LINE_BREAKS = re.compile(r"[\r\n\u2028\u2029]")
ADDRESS_SEPARATORS = re.compile(r"[\s,;]+")


class LineField(forms.CharField):
    """Text of one line. It ends up in mail headers, so line breaks are refused."""

    def clean(self, value: Any) -> str:
        if LINE_BREAKS.search(str(value or "").strip()):
            raise ValidationError(_("Write this on one line."), code="line_break")
        return str(super().clean(value))


class EmailLineField(LineField):
    widget = forms.EmailInput

    def clean(self, value: Any) -> str:
        text = super().clean(value)
        if text:
            validate_address(text, _("Enter an e-mail address like name@example.com"))
        return text


def validate_address(text: str, message: Any) -> None:
    try:
        validate_email(text)
    except ValidationError as error:
        raise ValidationError(message, code="invalid") from error


class AddressesField(forms.CharField):
    """E-mail addresses separated by line breaks, commas, semicolons or spaces; cleaned to a list."""

    widget = forms.Textarea

    def clean(self, value: Any) -> list[str]:
        text = str(super().clean(value))
        found = list(dict.fromkeys(filter(None, ADDRESS_SEPARATORS.split(text))))
        if len(found) > MAX_GUESTS:
            message = ngettext(
                "You can invite at most %(limit)s other person.",
                "You can invite at most %(limit)s other people.",
                MAX_GUESTS,
            )
            raise ValidationError(message % {"limit": MAX_GUESTS}, code="too_many")
        for address in found:
            wrong = _("“%(address)s” is not an e-mail address. Write one like name@example.com.")
            validate_address(address, ValidationError(wrong, params={"address": address[:80]}))
        return found
