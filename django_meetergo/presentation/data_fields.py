"""The questions that are configured at meetergo, as form fields."""

from __future__ import annotations

from collections.abc import Iterable

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from django_meetergo.models import DataField, MeetingType
from django_meetergo.presentation.form_fields import TextField
from django_meetergo.services.booking.validation import MAX_ANSWER_LENGTH

Kind = DataField.Kind
#: A number that is written out with this many digits fits into every answer.
MAX_DIGITS = 100


def list_data_fields(meeting_type: MeetingType) -> list[DataField]:
    """Return the questions that staff have chosen for a meeting type and that meetergo still has."""
    rows = DataField.objects.filter(meeting_types__in=[meeting_type.pk], missing_since=None)
    return list(rows.defer("raw"))


def build_fields(rows: Iterable[DataField]) -> dict[str, forms.Field]:
    """Return the form fields by their names in the answers, without files and signatures.

    Of two rows with one name the first counts.
    """
    fields: dict[str, forms.Field] = {}
    for row in rows:
        if row.kind != Kind.UPLOAD and row.key not in fields:
            fields[row.key] = build_field(row)
    return fields


def build_field(row: DataField) -> forms.Field:
    """Return the form field of a question; a field for text if there is no other one for its type."""
    field = build_choice_field(row) or build_typed_field(row.kind)
    field.label, field.required = row.label, row.required
    field.widget.is_required = row.required
    return field


def build_choice_field(row: DataField) -> forms.Field | None:
    choices = [(value, label) for value, label in row.choices]
    match row.kind:
        case Kind.SELECT:
            return forms.ChoiceField(choices=[("", _("Please choose")), *choices])
        case Kind.RADIO:
            return forms.ChoiceField(choices=choices, widget=forms.RadioSelect)
        case Kind.YES_NO:
            answers = [("yes", gettext("Yes")), ("no", gettext("No"))]
            return forms.ChoiceField(choices=answers, widget=forms.RadioSelect)
        case Kind.CHECKBOXES:
            return forms.MultipleChoiceField(choices=choices, widget=forms.CheckboxSelectMultiple)
    return None


def build_typed_field(kind: str) -> forms.Field:
    match kind:
        case Kind.MULTILINE:
            return TextField(max_length=MAX_ANSWER_LENGTH, widget=forms.Textarea(attrs={"rows": 3}))
        case Kind.EMAIL:
            return forms.EmailField(max_length=254)
        case Kind.PHONE:
            return forms.CharField(max_length=64, widget=forms.TelInput)
        case Kind.NUMBER:
            return forms.DecimalField(max_digits=MAX_DIGITS)
        case Kind.CHECKBOX:
            return forms.BooleanField()
        case Kind.URL:
            return forms.URLField(assume_scheme="https")
        # Browsers read and send ISO 8601 in these inputs, whatever the language.
        case Kind.DATE:
            return forms.DateField(
                widget=forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"}), input_formats=["%Y-%m-%d"]
            )
        case Kind.TIME:
            return forms.TimeField(
                widget=forms.TimeInput(format="%H:%M", attrs={"type": "time"}),
                input_formats=["%H:%M", "%H:%M:%S"],
            )
    return forms.CharField(max_length=MAX_ANSWER_LENGTH)
