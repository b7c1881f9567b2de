"""Admin actions on appointments."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import timezone
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from django_meetergo import links
from django_meetergo.admin.actions import MAX_AT_ONCE, ActionResult, AdminAction
from django_meetergo.admin.base import (
    format_age,
    format_moment,
)
from django_meetergo.admin.reschedule import MoveForm, ShiftForm, list_free
from django_meetergo.models import Appointment, AppointmentChange, Attendee
from django_meetergo.services.changes import batches
from django_meetergo.services.changes.requests import MAX_REASON
from django_meetergo.services.clients import build_client
from django_meetergo.services.sync.appointments import sync_appointment

#: Cancels and moves go to the workers beyond ``FEW``; so many can be asked for at once.
MANY = 1000
State = AppointmentChange.State
#: The admin's own pictures for how a change ended, or did not; all others wait.
PICTURES = {
    State.DONE: "admin/img/icon-yes.svg",
    State.REFUSED: "admin/img/icon-no.svg",
    State.UNKNOWN: "admin/img/icon-unknown.svg",
}


def plan_change(row: Appointment) -> str:
    """Why an appointment is left alone; empty when it can be changed."""
    if row.is_cancelled:
        return gettext("Already cancelled – left alone")
    if row.missing_since:
        return gettext("Missing at meetergo – left alone")
    if row.start <= timezone.now():
        return gettext("Past – left alone")
    if row.changes.filter(state__in=AppointmentChange.OPEN).exists():
        return gettext("Is being changed just now – left alone")
    return ""


def list_going(row: Appointment) -> list[Attendee]:
    return [one for one in row.attendees.all() if one.status == Attendee.Status.ATTENDING]


def join_few(names: Sequence[str]) -> str:
    """The first two, and how many more there are."""
    shown = ", ".join(filter(None, names[:2]))
    return f"{shown} +{len(names) - 2}" if len(names) > 2 else shown


def describe_people(row: Appointment) -> str:
    """Who will be told: meetergo mails them."""
    return join_few([one.email or one.full_name for one in list_going(row)])


def name_row(row: Appointment, start: datetime | None = None) -> str:
    """Who, what and when, by the site's clock."""
    who = join_few([str(one) for one in list_going(row)])
    what = f"{row.meeting_type or gettext('Appointment')}, {format_moment(start or row.start)}"
    return " · ".join(filter(None, [who, what]))


class AppointmentAction(AdminAction):
    """Acts on appointments call them what the list calls them."""

    def describe(self, row: Appointment) -> str:
        return name_row(row)


class ReasonForm(forms.Form):
    reason = forms.CharField(
        label=_("Reason (optional)"),
        required=False,
        max_length=MAX_REASON,
        widget=forms.Textarea(attrs={"rows": 3, "cols": 60}),
        help_text=_("The people in these appointments will read it."),
    )


class Change(AppointmentAction):
    """A cancel or a move: many at once, each with a row of its own that tells how it goes."""

    limit = MANY

    def ask_for(
        self, request: HttpRequest, rows: Sequence[Appointment], form: Any, batch: UUID
    ) -> batches.BatchResult:
        raise NotImplementedError

    def run(self, admin: Any, request: HttpRequest, rows: Sequence[Any], form: forms.Form) -> HttpResponse:
        batch = uuid4()
        asked = self.ask_for(request, rows, form, batch)
        for appointment, error in asked.refused:
            messages.error(request, f"{name_row(appointment)}: {error}")
        for change in asked.changes:
            admin.log_change(
                request, change.appointment, f"{self.label} {form.cleaned_data.get('reason', '')}"
            )
        if not asked.changes:
            return HttpResponseRedirect(admin.way_back(rows))
        if len(asked.changes) <= MAX_AT_ONCE:
            batches.send_batch(batch=batch, now=timezone.now())
        return HttpResponseRedirect(admin.own_url("batch", batch))


class Cancel(Change):
    name = permission = "cancel"
    label = _("Cancel…")
    form_class = ReasonForm

    def question(self, number: int) -> str:
        text = ngettext("Cancel %(number)d appointment?", "Cancel %(number)d appointments?", number)
        return text % {"number": number}

    def button(self, number: int) -> str:
        text = ngettext("Yes, cancel %(number)d appointment", "Yes, cancel %(number)d appointments", number)
        return text % {"number": number}

    def plan(self, row: Appointment) -> tuple[bool, str]:
        if why_not := plan_change(row):
            return False, why_not
        if who := describe_people(row):
            return True, gettext("Will be cancelled; %(who)s will be told") % {"who": who}
        return True, gettext("Will be cancelled")

    def ask_for(
        self, request: HttpRequest, rows: Sequence[Appointment], form: Any, batch: UUID
    ) -> batches.BatchResult:
        return batches.cancel_appointments(
            appointments=rows,
            batch=batch,
            reason=form.cleaned_data["reason"],
            user=request.user,
            now=timezone.now(),
        )


class Move(Change):
    name, permission = "move", "reschedule"
    label = _("Move…")

    def question(self, number: int) -> str:
        text = ngettext("Move %(number)d appointment?", "Move %(number)d appointments?", number)
        return text % {"number": number}

    def button(self, number: int) -> str:
        text = ngettext("Yes, move %(number)d appointment", "Yes, move %(number)d appointments", number)
        return text % {"number": number}

    def plan(self, row: Appointment) -> tuple[bool, str]:
        if why_not := plan_change(row):
            return False, why_not
        if who := describe_people(row):
            return True, gettext("Will be moved; %(who)s will be told") % {"who": who}
        return True, gettext("Will be moved")

    def build_form(self, request: HttpRequest, rows: Sequence[Any], data: Any = None) -> forms.Form:
        if len(rows) == 1:
            return MoveForm(data, starts=list_free(rows[0]))
        return ShiftForm(data)

    def ask_for(
        self, request: HttpRequest, rows: Sequence[Appointment], form: Any, batch: UUID
    ) -> batches.BatchResult:
        moves = form.list_moves(rows)
        return batches.reschedule_appointments(
            moves=moves, batch=batch, user=request.user, now=timezone.now()
        )


class FetchAgain(AppointmentAction):
    name, permission = "fetch", "sync"
    label = _("Fetch again")

    def question(self, number: int) -> str:
        text = ngettext("Fetch %(number)d appointment?", "Fetch %(number)d appointments?", number)
        return text % {"number": number}

    def button(self, number: int) -> str:
        return gettext("Yes, fetch again")

    def plan(self, row: Appointment) -> tuple[bool, str]:
        return True, gettext("Will be read from meetergo; last read: %(age)s") % {
            "age": format_age(row.synced_at)
        }

    def carry_out(self, request: HttpRequest, row: Appointment, form: forms.Form) -> ActionResult:
        before = row.digest
        client = build_client(row.connection, "reread")
        read = sync_appointment(appointment=row, client=client, now=timezone.now())
        if read.missing_since:
            return ActionResult(text=gettext("meetergo does not know it any more"), level=messages.WARNING)
        if read.digest == before:
            return ActionResult(text=gettext("unchanged"))
        return ActionResult(text=gettext("fetched"))


class ShowLinks(AppointmentAction):
    """The attendees' own links. Whoever has one may move and cancel: seeing it is an act, and logged."""

    name = permission = "link"
    label = _("Copy attendee's link…")

    def question(self, number: int) -> str:
        return gettext("Show the attendees' links?")

    def button(self, number: int) -> str:
        return gettext("Yes, show the links")

    def plan(self, row: Appointment) -> tuple[bool, str]:
        if not list_going(row):
            return False, gettext("Nobody attends – left alone")
        return True, gettext("Whoever has the link can move and cancel the appointment")

    def run(self, admin: Any, request: HttpRequest, rows: Sequence[Any], form: forms.Form) -> HttpResponse:
        shown: list[Any] = []
        for row in rows:
            shown += [
                (name_row(row), one, links.build_absolute_url(links.get_manage_path(one)))
                for one in list_going(row)
            ]
            admin.log_change(request, row, gettext("Saw the attendees' links"))
        response: HttpResponse = admin.show(
            request, "links.html", title=_("Attendees' links"), shown=shown, back=admin.way_back(rows)
        )
        response["Cache-Control"] = "no-store"
        return response


ACTS = (Move(), Cancel(), FetchAgain(), ShowLinks())


def name_progress(progress: batches.Progress) -> str:
    if not progress.is_over:
        return gettext("Under way")
    if progress.refused == progress.total:
        return gettext("Refused")
    return gettext("Done in part") if progress.refused else gettext("Done")


def show_progress(change: AppointmentChange) -> str:
    """How a change went, in words for staff."""
    match change.state:
        case State.DONE if change.kind == AppointmentChange.Kind.RESCHEDULE:
            return gettext("Moved to %(start)s") % {"start": format_moment(change.target_start)}
        case State.DONE:
            return gettext("Cancelled")
        case State.REFUSED if change.outcome == "slot_taken":
            return gettext("Refused: the new time is taken. The old time stands.")
        case State.REFUSED:
            return gettext("Refused: %(why)s") % {"why": change.message or change.outcome}
        case State.UNKNOWN:
            return gettext("Being checked: the answer was lost, or the change does not show yet")
    return gettext("Waiting to be sent")
