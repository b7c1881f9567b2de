"""Bookings in the admin: what was requested, what became of it, and the actions on it."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext_lazy, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from django_meetergo.admin.actions import ActionResult, ActionsMixin, AdminAction, MakeDueAction
from django_meetergo.admin.answers import find_question_fields, render_answers
from django_meetergo.admin.appointment_actions import ReasonForm
from django_meetergo.admin.base import TermSearch
from django_meetergo.admin.book_for_caller import BookForCallerMixin
from django_meetergo.admin.display import (
    format_moment,
    format_moment_in_zone,
    render_status,
    render_with_title,
)
from django_meetergo.admin.filters import BookingAttention, ConnectionFilter, TypeFilter, WhenFilter
from django_meetergo.admin.search import filter_by_phone, match_person
from django_meetergo.admin.timeline import list_booking_entries, render_timeline
from django_meetergo.conf import get_settings
from django_meetergo.formatting import format_pair
from django_meetergo.models import Appointment, Booking, MeetingType
from django_meetergo.services.booking.pending import check_pending, decline_booking
from django_meetergo.services.booking.reconciliation import (
    close_left_to_staff,
    reconcile_booking,
    reread_booking,
    resolve_left_to_staff,
)
from django_meetergo.services.clients import build_client

State, Reason = Booking.State, Booking.Reason
#: Colours of states; see ``display.render_status``. All others are "wait".
STATE_KINDS = {State.CONFIRMED: "good", State.UNKNOWN: "bad", State.CLOSED: "off"}


class Retry(MakeDueAction):
    name = permission = "retry"
    label = _("Send now")
    result_text = _("will be sent in a moment")

    def preview(self, row: Booking) -> tuple[bool, str]:
        if row.state != State.RECEIVED:
            return False, gettext("No change: not waiting to be sent")
        return True, gettext("Will be sent now instead of on %(when)s") % {"when": format_moment(row.next_at)}

    def make_due(self, row: Booking) -> bool:
        waiting = Booking.objects.filter(pk=row.pk, state=State.RECEIVED)
        return bool(waiting.update(next_at=timezone.now()))


class ReconcileNow(AdminAction):
    """Reconciles bookings with meetergo now, including those that were left to staff."""

    name = permission = "reconcile"
    label = _("Check at meetergo now")
    needs_confirmation = False

    def preview(self, row: Booking) -> tuple[bool, str]:
        if row.state == State.UNKNOWN:
            return True, gettext("Will be searched for at meetergo; nothing is sent again")
        if row.state == State.PENDING:
            return True, gettext("meetergo will be asked whether it is confirmed")
        if row.state == State.CONFIRMED and row.reason == Reason.NEEDS_STAFF:
            return True, gettext("Its appointment will be read again to find the attendee")
        return False, gettext("No change: its state is clear")

    def perform(self, row: Booking, form: forms.Form) -> ActionResult:
        client, now = build_client(row.reader, "reread"), timezone.now()
        if row.state == State.PENDING:
            checked = check_pending(booking=row, client=client, now=now)
        else:
            # From now on reconciliation may decide again. A confirmed booking needs staff until a read has
            # identified its attendee.
            left_to_staff = Booking.objects.filter(pk=row.pk, state=row.state, reason=Reason.NEEDS_STAFF)
            is_confirmed = row.state == State.CONFIRMED
            left_to_staff.update(next_at=now, **({} if is_confirmed else {"reason": Reason.NONE}))
            check = reread_booking if is_confirmed else reconcile_booking
            checked = check(booking=row, client=client, now=now)
        is_unclear = checked.is_open or checked.reason == Reason.NEEDS_STAFF
        level = messages.WARNING if is_unclear else messages.SUCCESS
        return ActionResult(text=describe_state(checked), level=level)


class CloseNotBooked(AdminAction):
    """Closes bookings left to staff for which staff have found no appointment."""

    name = "not_booked"
    permission = "reconcile"
    label = _("Close as not booked…")
    question = ngettext_lazy(
        "Close %(number)d booking as not booked?", "Close %(number)d bookings as not booked?", "number"
    )
    button = ngettext_lazy("Yes, close %(number)d booking", "Yes, close %(number)d bookings", "number")

    def preview(self, row: Booking) -> tuple[bool, str]:
        if row.state != State.UNKNOWN or row.reason != Reason.NEEDS_STAFF:
            return False, gettext("No change: not left to staff")
        if row.email and "not_booked" in get_settings().SEND_MAIL:
            return True, gettext("Will be closed; an e-mail informs %(who)s that nothing was booked") % {
                "who": row.email
            }
        return True, gettext("Will be closed; nobody gets an e-mail")

    def perform(self, row: Booking, form: forms.Form) -> ActionResult:
        closed = close_left_to_staff(booking=row, now=timezone.now())
        level = messages.SUCCESS if closed.state == State.CLOSED else messages.WARNING
        return ActionResult(text=describe_state(closed), level=level)


class MarkResolved(AdminAction):
    """Takes confirmed bookings from the list of staff, who have found out whose place in the group it is."""

    name = "resolved"
    permission = "reconcile"
    label = _("Mark as resolved")
    needs_confirmation = False

    def preview(self, row: Booking) -> tuple[bool, str]:
        if row.state != State.CONFIRMED or row.reason != Reason.NEEDS_STAFF:
            return False, gettext("No change: no confirmed booking that was left to staff")
        return True, gettext("Stays booked and no longer needs staff")

    def perform(self, row: Booking, form: forms.Form) -> ActionResult:
        return ActionResult(text=describe_state(resolve_left_to_staff(booking=row)))


class Decline(AdminAction):
    name = permission = "decline"
    label = _("Decline…")
    form_class = ReasonForm
    question = ngettext_lazy("Decline %(number)d request?", "Decline %(number)d requests?", "number")
    button = ngettext_lazy("Yes, decline %(number)d request", "Yes, decline %(number)d requests", "number")

    def preview(self, row: Booking) -> tuple[bool, str]:
        if row.state != State.PENDING:
            return False, gettext("No change: not waiting for a confirmation")
        if row.reason not in {Reason.HOST, Reason.BOTH}:
            return False, gettext("No change: waiting for the attendee, not for a host")
        return True, gettext("Will be declined; meetergo notifies %(who)s") % {
            "who": row.email or row.full_name
        }

    def perform(self, row: Booking, form: forms.Form) -> ActionResult:
        declined = decline_booking(
            booking=row,
            client=build_client(row.reader, "write"),
            reason=form.cleaned_data["reason"],
            now=timezone.now(),
        )
        if declined.state == State.CLOSED and declined.reason == Reason.DECLINED:
            return ActionResult(text=gettext("declined"))
        return ActionResult(text=describe_state(declined), level=messages.WARNING)


def filter_own_bookings(rows: QuerySet[Any], user: Any) -> QuerySet[Any]:
    """Return the bookings that led to an appointment of the user's hosts, or may still lead to one."""
    own = Appointment.objects.of_host_user(user)
    types = MeetingType.objects.filter(hosts__user=user.pk)
    return rows.filter(
        Q(attendee__appointment__in=own) | Q(attendee=None, meeting_type__in=types.values("pk"))
    )


def describe_booking(row: Booking) -> str:
    """Return attendee, meeting type, start in the current time zone, and reference."""
    what = f"{row.meeting_type}, {format_moment(row.start)}"
    return " · ".join(filter(None, [row.full_name or row.email, what, row.reference]))


def describe_state(row: Booking) -> str:
    """Return the state of a booking in words, with its reason."""
    state = str(row.get_state_display())
    return format_pair(state, row.get_reason_display()) if row.reason else state


@admin.register(Booking)
class BookingAdmin(BookForCallerMixin, ActionsMixin, TermSearch):
    actions = (Retry(), ReconcileNow(), CloseNotBooked(), MarkResolved(), Decline())
    readonly_notice = _(
        "A booking is kept as it was requested, so it cannot be edited or deleted. "
        "Cancel or reschedule the appointment that it led to."
    )
    list_display = ("received", "who", "meeting_type", "when", "status", "reference")
    list_select_related = ("meeting_type",)
    list_filter = (BookingAttention, "state", "reason", WhenFilter, TypeFilter, ConnectionFilter)
    search_fields = ("email_folded",)
    search_help_text = _("The start of a name or e-mail address, a phone number, or a complete reference.")
    fieldsets = (
        (
            _("Booking"),
            {
                "fields": (
                    ("status", "meeting_type"),
                    ("when_long", "appointment"),
                )
            },
        ),
        (
            _("Attendee"),
            {
                "fields": (
                    ("first_name", "last_name", "contact"),
                    ("others", "answers"),
                    ("user", "related_record", "zone"),
                )
            },
        ),
        (
            _("Details of the request"),
            {
                "fields": (
                    ("channel_name", "location"),
                    ("skip_notifications", "receive_reminders", "defer_consent"),
                )
            },
        ),
        (pgettext_lazy("of an appointment", "History"), {"fields": ("timeline",)}),
        (
            _("Technical details"),
            {
                "classes": ("collapse",),
                "fields": (
                    "connection",
                    "reference",
                    "message",
                    "field_errors",
                    "provisional_id",
                    "replaced_by",
                    "next_at",
                    "outcome_deadline",
                    "tries",
                    "created_at",
                    "closed_at",
                ),
            },
        ),
    )

    def filter_own(self, rows: QuerySet[Any], user: Any) -> QuerySet[Any]:
        return filter_own_bookings(rows, user)

    def describe_row(self, row: Booking) -> str:
        return describe_booking(row)

    def search(self, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        by_phone = filter_by_phone(Booking.objects.order_by(), term)
        found = Q(reference=term.upper()) | match_person(term)
        return rows.filter(found | Q(pk__in=by_phone.values("pk")))

    @admin.display(description=_("received"), ordering="pk")
    def received(self, row: Booking) -> str:
        return format_moment(row.created_at)

    @admin.display(description=_("attendee"))
    def who(self, row: Booking) -> SafeString | str:
        return render_with_title(row.full_name or row.email or "–", row.email)

    @admin.display(description=_("start"), ordering="start")
    def when(self, row: Booking) -> SafeString | str:
        return render_with_title(format_moment(row.start), format_moment_in_zone(row.start, row.timezone))

    @admin.display(description=_("state"), ordering="state")
    def status(self, row: Booking) -> SafeString:
        return render_status(describe_state(row), STATE_KINDS.get(State(row.state), "wait"))

    @admin.display(description=_("reference"))
    def reference(self, row: Booking) -> str:
        return str(row.reference)

    @admin.display(description=_("start"))
    def when_long(self, row: Booking) -> str:
        on_site = gettext("%(start)s, %(minutes)d minutes") % {
            "start": format_moment(row.start),
            "minutes": row.duration,
        }
        start_for_attendee = format_moment_in_zone(row.start, row.timezone)
        if not start_for_attendee:
            return on_site
        return f"{on_site}; {gettext('For the attendee: %(when)s') % {'when': start_for_attendee}}"

    @admin.display(description=_("appointment"))
    def appointment(self, row: Booking) -> SafeString | str:
        return self.render_link(row.attendee.appointment) if row.attendee else "–"

    @admin.display(description=_("contact"))
    def contact(self, row: Booking) -> str:
        return ", ".join(filter(None, [row.email, row.phone, row.company])) or "–"

    @admin.display(description=_("other people invited"))
    def others(self, row: Booking) -> str:
        return ", ".join(row.other_emails) or "–"

    @admin.display(description=_("answers"))
    def answers(self, row: Booking) -> SafeString | str:
        return render_answers(row.custom_fields, find_question_fields(row.meeting_type))

    @admin.display(description=_("related record"))
    def related_record(self, row: Booking) -> str:
        return str(row.subject or "–")

    @admin.display(description=_("what happened"))
    def timeline(self, row: Booking) -> SafeString:
        return render_timeline(list_booking_entries(row))

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Lead to "Book for somebody": Django's add view is one transaction and may not call meetergo."""
        return HttpResponseRedirect(self.get_admin_url("call"))
