"""Actions on appointments: reschedule, cancel, hand over, read again, show the attendees' links."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar
from uuid import uuid4

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import timezone, translation
from django.utils.translation import gettext, ngettext_lazy
from django.utils.translation import gettext_lazy as _

from django_meetergo import links
from django_meetergo.admin.actions import MAX_AT_ONCE, ActionResult, ActionsMixin, AdminAction
from django_meetergo.admin.display import WITHOUT_PAGES, format_age, format_moment
from django_meetergo.admin.errors import describe_error
from django_meetergo.admin.handoff import HandoffForm
from django_meetergo.admin.reschedule import RescheduleForm, ShiftForm, list_free_starts
from django_meetergo.formatting import format_pair
from django_meetergo.models import Appointment, AppointmentChange, Attendee
from django_meetergo.presentation.form_fields import TextField
from django_meetergo.services.changes import batches
from django_meetergo.services.changes.requests import MAX_REASON
from django_meetergo.services.clients import build_client
from django_meetergo.services.sync.appointments import sync_appointment

#: Appointments that one request may cancel or reschedule. Beyond ``MAX_AT_ONCE`` the workers send them.
MAX_CHANGES = 1000


def explain_why_unchangeable(row: Any) -> str:
    """Return why an appointment cannot be changed now; an empty string when it can.

    Rows of ``AppointmentAdmin.list_rows`` carry ``has_open_change``; for others this costs a query.
    """
    if row.is_cancelled:
        return gettext("No change: already cancelled")
    if row.missing_since:
        return gettext("No change: no longer at meetergo")
    if row.start <= timezone.now():
        return gettext("No change: already started or over")
    if not row.is_connected:
        return gettext("No change: its connection is no longer in the settings")
    has_open_change = getattr(row, "has_open_change", None)
    if has_open_change is None:
        has_open_change = row.changes.filter(state__in=AppointmentChange.OPEN).exists()
    if has_open_change:
        return gettext("No change: another change is still under way")
    return ""


def list_attending(row: Appointment) -> list[Attendee]:
    """Return the attendees who have not been removed."""
    return [attendee for attendee in row.attendees.all() if attendee.status == Attendee.Status.ATTENDING]


def join_first_two(names: Sequence[str]) -> str:
    """Return the first two names and the number of the others, such as "Ann, Bob +3"."""
    shown = ", ".join(filter(None, names[:2]))
    return f"{shown} +{len(names) - 2}" if len(names) > 2 else shown


def describe_recipients(row: Appointment) -> str:
    """Return the addresses that meetergo will send an e-mail to."""
    return join_first_two([attendee.email or attendee.full_name for attendee in list_attending(row)])


def describe_appointment(row: Appointment, start: datetime | None = None) -> str:
    """Return attendees, meeting type and start, in the current time zone."""
    who = join_first_two([str(attendee) for attendee in list_attending(row)])
    what = f"{row.meeting_type or gettext('Appointment')}, {format_moment(start or row.start)}"
    return " · ".join(filter(None, [who, what]))


class ReasonForm(forms.Form):
    reason = TextField(
        label=_("Reason (optional)"),
        required=False,
        max_length=MAX_REASON,
        widget=forms.Textarea(attrs={"rows": 3, "cols": 60}),
        help_text=_("The attendees will read this text."),
    )


class ChangeAction(AdminAction):
    """A cancel, a reschedule or a handoff: stores one change per appointment and tracks them as a batch."""

    max_rows = MAX_CHANGES

    def store_changes(self, rows: Sequence[Appointment], form: Any, **options: Any) -> batches.BatchResult:
        """Store one change per row, without sending it; ``options`` are those of every service of batches."""
        raise NotImplementedError

    def describe(self, row: Appointment) -> str:
        """Return what happens to a row that can be changed."""
        raise NotImplementedError

    def preview(self, row: Appointment) -> tuple[bool, str]:
        reason = explain_why_unchangeable(row)
        return not reason, reason or self.describe(row)

    def execute(
        self, admin: Any, request: HttpRequest, rows: Sequence[Any], form: forms.Form
    ) -> HttpResponse:
        """Store the changes, send a small batch at once, and redirect to the batch's page."""
        batch = uuid4()
        stored = self.store_changes(rows, form, batch=batch, user=request.user, now=timezone.now())
        for appointment, error in stored.refused:
            messages.error(request, format_pair(describe_appointment(appointment), describe_error(error)))
        # The others were requested before, by a colleague or by the same form, and have a batch already.
        new = [change for change in stored.changes if change.batch is None]
        for change in new:
            detail = form.cleaned_data.get("reason") or change.target_host or ""
            text = format_pair(self.log_label, detail) if detail else self.log_label
            admin.log_change(request, change.appointment, text)
        if not stored.changes:
            return HttpResponseRedirect(admin.get_return_url(rows))
        if len(new) <= MAX_AT_ONCE:
            batches.send_batch(batch=batch, now=timezone.now())
        return HttpResponseRedirect(admin.get_admin_url("batch", batch if new else stored.changes[0].batch))


class Cancel(ChangeAction):
    name = permission = "cancel"
    label = _("Cancel…")
    form_class = ReasonForm
    question = ngettext_lazy("Cancel %(number)d appointment?", "Cancel %(number)d appointments?", "number")
    button = ngettext_lazy(
        "Yes, cancel %(number)d appointment", "Yes, cancel %(number)d appointments", "number"
    )

    def describe(self, row: Appointment) -> str:
        if who := describe_recipients(row):
            return gettext("Will be cancelled; meetergo notifies %(who)s") % {"who": who}
        return gettext("Will be cancelled")

    def store_changes(self, rows: Sequence[Appointment], form: Any, **options: Any) -> batches.BatchResult:
        return batches.cancel_appointments(appointments=rows, reason=form.cleaned_data["reason"], **options)


class Reschedule(ChangeAction):
    name = permission = "reschedule"
    label = _("Reschedule…")
    question = ngettext_lazy(
        "Reschedule %(number)d appointment?", "Reschedule %(number)d appointments?", "number"
    )
    button = ngettext_lazy(
        "Yes, reschedule %(number)d appointment", "Yes, reschedule %(number)d appointments", "number"
    )

    def describe(self, row: Appointment) -> str:
        if who := describe_recipients(row):
            return gettext("Will be rescheduled; meetergo notifies %(who)s") % {"who": who}
        return gettext("Will be rescheduled")

    def build_form(self, rows: Sequence[Any], data: Any = None) -> forms.Form:
        if len(rows) == 1:
            return RescheduleForm(data, starts=list_free_starts(rows[0]))
        return ShiftForm(data)

    def store_changes(self, rows: Sequence[Appointment], form: Any, **options: Any) -> batches.BatchResult:
        return batches.reschedule_appointments(moves=form.list_targets(rows), **options)


class HandOver(ChangeAction):
    """Hands appointments over to one colleague. Those for which the colleague is not free stay."""

    name = permission = "handoff"
    label = _("Hand over…")
    question = ngettext_lazy(
        "Hand over %(number)d appointment?", "Hand over %(number)d appointments?", "number"
    )
    button = ngettext_lazy(
        "Yes, hand over %(number)d appointment", "Yes, hand over %(number)d appointments", "number"
    )

    def describe(self, row: Appointment) -> str:
        return gettext("Will be handed over if the colleague is free; the time stays")

    def build_form(self, rows: Sequence[Any], data: Any = None) -> forms.Form:
        """Ask meetergo who is free, unless the form is sent complete."""
        form = HandoffForm(data, rows=rows)
        if data is None or not form.is_valid():
            form.describe_availability()
        return form

    def store_changes(self, rows: Sequence[Appointment], form: Any, **options: Any) -> batches.BatchResult:
        return batches.handoff_appointments(appointments=rows, host=form.cleaned_data["host"], **options)


class ReadAgain(AdminAction):
    """Reads appointments from meetergo now."""

    name, permission = "fetch", "sync"
    label = _("Update from meetergo")
    needs_confirmation = False

    def preview(self, row: Appointment) -> tuple[bool, str]:
        return True, gettext("Will be read from meetergo; last read: %(age)s") % {
            "age": format_age(row.synced_at)
        }

    def perform(self, row: Appointment, form: forms.Form) -> ActionResult:
        digest = row.digest
        client = build_client(row.reader, "reread")
        updated = sync_appointment(appointment=row, client=client, now=timezone.now())
        if updated.missing_since:
            return ActionResult(text=gettext("no longer exists at meetergo"), level=messages.WARNING)
        if updated.digest == digest:
            return ActionResult(text=gettext("unchanged"))
        return ActionResult(text=gettext("updated"))


class ShowLinks(AdminAction):
    """Shows the attendees' links. Whoever has one may reschedule and cancel, so each use is logged."""

    name = permission = "link"
    label = _("Show attendee's link")
    needs_confirmation = False

    def preview(self, row: Appointment) -> tuple[bool, str]:
        if not list_attending(row):
            return False, gettext("Nobody attends this appointment")
        if not links.has_pages():
            return False, str(WITHOUT_PAGES)
        return True, gettext("Anyone with the link can reschedule and cancel the appointment")

    def execute(
        self, admin: ActionsMixin, request: HttpRequest, rows: Sequence[Any], form: forms.Form
    ) -> HttpResponse:
        shown: list[Any] = []
        for row in rows:
            shown += [
                (describe_appointment(row), attendee, build_manage_url(attendee))
                for attendee in list_attending(row)
            ]
            admin.log_change(request, row, gettext("Showed the attendees' links"))
        notice = _(
            "Give a link to its attendee only. Anyone who has it can reschedule and cancel the appointment."
        )
        return admin.render_links(request, rows, shown, title=_("Attendees' links"), notice=notice)


def build_manage_url(attendee: Attendee) -> str:
    """Return the attendee's link in their language, not in that of the person who copies it."""
    with translation.override(links.choose_language(attendee.language)):
        return links.build_absolute_url(links.get_manage_path(attendee))


class RecordAttendance(AdminAction):
    """Records on this site whether the attendees came. meetergo does not receive it."""

    permission = "change"
    needs_confirmation = False
    max_rows = MAX_CHANGES
    attendance: ClassVar[Appointment.Attendance]

    def preview(self, row: Appointment) -> tuple[bool, str]:
        if row.is_cancelled:
            return False, gettext("No change: already cancelled")
        if timezone.localtime(row.start).date() > timezone.localdate():
            return False, gettext("No change: the appointment is on a later day")
        if row.attendance == self.attendance:
            return False, gettext("No change: already recorded")
        return True, str(self.attendance.label)

    def perform(self, row: Appointment, form: forms.Form) -> ActionResult:
        row.attendance = self.attendance
        row.save(update_fields=["attendance"])
        return ActionResult(text=str(self.attendance.label))


class RecordCame(RecordAttendance):
    name = "came"
    label = _("Record: came")
    attendance = Appointment.Attendance.CAME


class RecordNoShow(RecordAttendance):
    name = "no_show"
    label = _("Record: did not come")
    attendance = Appointment.Attendance.NO_SHOW


ADMIN_ACTIONS = (
    Reschedule(),
    Cancel(),
    HandOver(),
    RecordCame(),
    RecordNoShow(),
    ShowLinks(),
    ReadAgain(),
)
