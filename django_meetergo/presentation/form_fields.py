"""Form fields of our own."""

from __future__ import annotations

import re
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from django_meetergo.services.booking.validation import MAX_GUESTS

BREAKS = re.compile(r"[\r\n\u2028\u2029]")
BETWEEN_ADDRESSES = re.compile(r"[\s,;]+")


class LineField(forms.CharField):
    """Text that ends up in the head of a mail: one line, whatever the browser sends."""

    def clean(self, value: Any) -> str:
        if BREAKS.search(str(value or "").strip()):
            raise ValidationError(_("Write this on one line."), code="line_break")
        return str(super().clean(value))


class EmailLineField(LineField):
    widget = forms.EmailInput

    def clean(self, value: Any) -> str:
        text = super().clean(value)
        if text:
            check_address(text, _("Enter an e-mail address like name@example.com"))
        return text


def check_address(text: str, message: Any) -> None:
    try:
        validate_email(text)
    except ValidationError as error:
        raise ValidationError(message, code="invalid") from error


class AddressesField(forms.CharField):
    """Several e-mail addresses, one a line; commas and spaces between them do as well."""

    widget = forms.Textarea
    max_addresses = MAX_GUESTS

    def clean(self, value: Any) -> list[str]:
        text = str(super().clean(value))
        found = list(dict.fromkeys(filter(None, BETWEEN_ADDRESSES.split(text))))
        if len(found) > MAX_GUESTS:
            message = ngettext(
                "You can invite at most %(limit)s other person.",
                "You can invite at most %(limit)s other people.",
                MAX_GUESTS,
            )
            raise ValidationError(message % {"limit": MAX_GUESTS}, code="too_many")
        for address in found:
            wrong = _("“%(address)s” is not an e-mail address. Write one like name@example.com.")
            check_address(address, ValidationError(wrong, params={"address": address[:80]}))
        return found
