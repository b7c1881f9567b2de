"""Forms that ask where to reschedule appointments to: one to a chosen time, several by the same interval."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from django_meetergo.formatting import format_full_day, format_time
from django_meetergo.models import Appointment
from django_meetergo.presentation.context import build_slot_reader
from django_meetergo.timezones import format_offset

#: How far ahead free times are offered.
OFFERED_SPAN = timedelta(days=14)
MAX_YEARS_AHEAD = 2


def list_free_starts(appointment: Appointment) -> list[datetime]:
    """Return the free starts of the next two weeks, without the appointment's present start."""
    if appointment.meeting_type is None:
        return []
    now = timezone.now()
    read_slots = build_slot_reader(appointment.meeting_type, appointment.minutes, now, moving=appointment)
    return [slot.start for slot in read_slots(now, now + OFFERED_SPAN).times]


def group_starts(starts: Iterable[datetime]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return the starts as choices, grouped by day in the current time zone."""
    days: dict[str, list[tuple[str, str]]] = {}
    for start in starts:
        local = timezone.localtime(start)
        label = f"{format_time(local)} ({format_offset(local)})"
        days.setdefault(format_full_day(local.date()), []).append((start.isoformat(), label))
    return list(days.items())


class RescheduleForm(forms.Form):
    """A free time, or any other time: meetergo decides whether it is possible."""

    free = forms.ChoiceField(label=_("Free times"), required=False)
    other = forms.DateTimeField(
        label=_("Or another time"),
        required=False,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
        input_formats=["%Y-%m-%dT%H:%M"],
        help_text=_("In the time zone of this site. meetergo may refuse a time that is not free."),
    )

    def __init__(self, *args: Any, starts: Iterable[datetime] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field: Any = self.fields["free"]
        field.choices = [("", gettext("Choose a time")), *group_starts(starts)]

    def clean_other(self) -> datetime | None:
        """Refuse far dates: near the year 9999, time zone conversions overflow."""
        other: datetime | None = self.cleaned_data["other"]
        if other and abs(other.year - timezone.now().year) > MAX_YEARS_AHEAD:
            raise forms.ValidationError(_("Choose a time within the next two years."))
        if other and other <= timezone.now():
            raise forms.ValidationError(_("This time has passed. Please choose another one."))
        return other

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        if bool(data.get("free")) == bool(data.get("other")) and not self.errors:
            raise forms.ValidationError(_("Choose one time: a free time or another time, not both."))
        return data

    def list_targets(self, rows: Iterable[Appointment]) -> list[tuple[Appointment, datetime]]:
        """Return each appointment with its new start."""
        free = self.cleaned_data["free"]
        start = datetime.fromisoformat(free) if free else self.cleaned_data["other"]
        return [(row, start) for row in rows]


class ShiftForm(forms.Form):
    """The same interval for several appointments. Days keep the time of day; minutes are elapsed time."""

    days = forms.IntegerField(
        label=_("Days later"),
        initial=0,
        min_value=-365,
        max_value=365,
        help_text=_("The time of day stays the same, even when the clocks change. Negative: earlier."),
    )
    minutes = forms.IntegerField(
        label=_("Minutes later"), initial=0, min_value=-1440, max_value=1440, required=False
    )

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        if not self.errors and not data.get("days") and not data.get("minutes"):
            raise forms.ValidationError(_("Enter a number of days or minutes."))
        return data

    def list_targets(self, rows: Iterable[Appointment]) -> list[tuple[Appointment, datetime]]:
        """Return each appointment with its new start."""
        data = self.cleaned_data
        return [(row, shift(row.start, data["days"], data["minutes"] or 0)) for row in rows]


def shift(start: datetime, days: int, minutes: int) -> datetime:
    """Return ``start`` moved by calendar days of the current time zone, then by elapsed minutes."""
    moved = start
    if days:  # without any, the second 02:30 of the day when clocks go back would become the first
        moved = timezone.make_aware(timezone.make_naive(start) + timedelta(days=days))
    return (moved.astimezone(start.tzinfo) + timedelta(minutes=minutes)).astimezone(start.tzinfo)
