"""The form that asks to whom appointments are handed over, with who is free."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from django_meetergo.formatting import format_time, name_weekday
from django_meetergo.models import Appointment, Host
from django_meetergo.services.changes.colleagues import Colleague, find_colleagues, list_candidates

#: Busy times that a colleague's line names; the others are counted.
MAX_NAMED = 3


class HandoffForm(forms.Form):
    """One colleague for all appointments. meetergo decides for each whether that colleague is free."""

    host = forms.TypedChoiceField(
        label=_("Colleague"),
        widget=forms.RadioSelect,
        error_messages={
            "required": _("Choose a colleague."),
            "invalid_choice": _("This host cannot take these appointments. Choose another colleague."),
        },
    )

    def __init__(self, *args: Any, rows: Sequence[Appointment], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.rows = rows
        self.candidates = {str(host.pk): host for host in list_candidates(rows)}
        self.set_choices([(key, str(host)) for key, host in self.candidates.items()])

    def set_choices(self, choices: list[tuple[str, str]], help_text: str = "") -> None:
        field: Any = self.fields["host"]
        field.choices, field.help_text = choices, help_text

    def clean_host(self) -> Host:
        return self.candidates[self.cleaned_data["host"]]

    def describe_availability(self) -> None:
        """Ask meetergo who is free, and name the times at which each colleague is busy."""
        colleagues = find_colleagues(appointments=self.rows, now=timezone.now())
        stay = gettext("Appointments for which the colleague is not free stay with their host.")
        if colleagues is None:
            unknown = gettext("It is not known at the moment who is free.")
            self.fields["host"].help_text = f"{unknown} {stay}"
        elif not colleagues:
            self.set_choices([], gettext("meetergo lists no colleague for these appointments."))
        else:
            choices = [(str(one.host.pk), self.describe_colleague(one)) for one in colleagues]
            self.set_choices(choices, stay if len(self.rows) > 1 else "")

    def describe_colleague(self, colleague: Colleague) -> str:
        """Return the colleague's name and whether they are free."""
        total, busy = len(self.rows), colleague.busy
        if not busy:
            return gettext("%(host)s: free") % {"host": colleague.host}
        if len(busy) == total:
            return gettext("%(host)s: not free") % {"host": colleague.host}
        moments = [timezone.localtime(start) for start in busy[:MAX_NAMED]]
        named = [f"{name_weekday(each.weekday(), 'D')} {format_time(each)}" for each in moments]
        if len(busy) > MAX_NAMED:
            named.append(f"+{len(busy) - MAX_NAMED}")
        return gettext("%(host)s: free for %(number)d of %(total)d, not free %(starts)s") % {
            "host": colleague.host,
            "number": total - len(busy),
            "total": total,
            "starts": ", ".join(named),
        }
