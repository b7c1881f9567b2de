"""Where to move appointments: one to a time of its choosing, several by the same span."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from django_meetergo.models import Appointment
from django_meetergo.services.availability.slots import list_slots
from django_meetergo.services.clients import build_client
from django_meetergo.timezones import format_offset

AHEAD = timedelta(days=14)


def list_free(appointment: Appointment) -> list[datetime]:
    """Free starts of the next two weeks; the appointment's own time does not stand in the way."""
    if appointment.meeting_type is None:
        return []
    now = timezone.now()
    found = list_slots(
        meeting_type=appointment.meeting_type,
        start=now,
        end=now + AHEAD,
        duration=int(appointment.duration.total_seconds() // 60),
        moving=appointment.remote_id,
        client=build_client(appointment.connection, "view"),
        now=now,
    )
    return [free.start for free in found.times if free.start != appointment.start]


def group_starts(starts: Iterable[datetime]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Starts as choices, grouped by the day of the site's calendar."""
    days: dict[str, list[tuple[str, str]]] = {}
    for start in starts:
        local = timezone.localtime(start)
        words = f"{date_format(local, 'H:i')} ({format_offset(local)})"
        days.setdefault(date_format(local, "l, j F Y"), []).append((start.isoformat(), words))
    return list(days.items())


class MoveForm(forms.Form):
    """A free time, or any other: meetergo decides."""

    free = forms.ChoiceField(label=_("Free times"), required=False)
    other = forms.DateTimeField(
        label=_("Or another time"),
        required=False,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
        input_formats=["%Y-%m-%dT%H:%M"],
        help_text=_("By the site's clock. meetergo decides whether it can be had."),
    )

    def __init__(self, *args: Any, starts: Iterable[datetime] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field: Any = self.fields["free"]
        field.choices = [("", gettext("Choose a time")), *group_starts(starts)]

    def clean(self) -> dict[str, Any]:
        given = super().clean() or self.cleaned_data
        if bool(given.get("free")) == bool(given.get("other")) and not self.errors:
            raise forms.ValidationError(_("Choose one time: a free one, or another."))
        return given

    def list_moves(self, rows: Iterable[Appointment]) -> list[tuple[Appointment, datetime]]:
        free = self.cleaned_data["free"]
        start = datetime.fromisoformat(free) if free else self.cleaned_data["other"]
        return [(row, start) for row in rows]


class ShiftForm(forms.Form):
    """The same span for several appointments. Days keep the time on the clock; minutes are minutes."""

    days = forms.IntegerField(
        label=_("Days later"),
        initial=0,
        min_value=-365,
        max_value=365,
        help_text=_("The time of day stays, also when the clocks change. Negative: earlier."),
    )
    minutes = forms.IntegerField(
        label=_("Minutes later"), initial=0, min_value=-1440, max_value=1440, required=False
    )

    def clean(self) -> dict[str, Any]:
        given = super().clean() or self.cleaned_data
        if not self.errors and not given.get("days") and not given.get("minutes"):
            raise forms.ValidationError(_("Say by how many days or minutes."))
        return given

    def list_moves(self, rows: Iterable[Appointment]) -> list[tuple[Appointment, datetime]]:
        given = self.cleaned_data
        return [(row, shift(row.start, given["days"], given["minutes"] or 0)) for row in rows]


def shift(start: datetime, days: int, minutes: int) -> datetime:
    """So many days on the site's calendar, then so many minutes that really pass."""
    local = timezone.localtime(start)
    moved = timezone.make_aware(local.replace(tzinfo=None) + timedelta(days=days))
    return (moved.astimezone(start.tzinfo) + timedelta(minutes=minutes)).astimezone(start.tzinfo)
