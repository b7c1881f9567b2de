"""What people asked for, what became of it, and the desk where staff books for a caller."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from django_meetergo.admin import timeline
from django_meetergo.admin.actions import ActionResult, ActionsMixin, AdminAction, MakeDueAction, make_action
from django_meetergo.admin.base import (
    format_moment,
    format_moment_at_host,
    match_person,
    render_hover,
    render_link,
)
from django_meetergo.admin.book_for_caller import BookForCallerMixin
from django_meetergo.admin.filters import BookingAttention, ConnectionFilter, TypeFilter, WhenFilter
from django_meetergo.formatting import name_channel
from django_meetergo.models import Booking
from django_meetergo.services.booking.pending import check_pending, decline_booking
from django_meetergo.services.booking.reconciliation import reconcile_booking
from django_meetergo.services.changes.requests import MAX_REASON
from django_meetergo.services.clients import build_client
from django_meetergo.wakeup import wake_workers

State, Reason = Booking.State, Booking.Reason


class Retry(MakeDueAction):
    name = permission = "retry"
    label = _("Send now")
    told = _("will be sent in a moment")

    def question(self, number: int) -> str:
        text = ngettext("Send %(number)d booking now?", "Send %(number)d bookings now?", number)
        return text % {"number": number}

    def button(self, number: int) -> str:
        return gettext("Yes, send now")

    def plan(self, row: Booking) -> tuple[bool, str]:
        if row.state != State.RECEIVED:
            return False, gettext("Does not wait to be sent – left alone")
        return True, gettext("Will be sent; waiting until %(when)s otherwise") % {
            "when": format_moment(row.next_at)
        }

    def make_due(self, row: Booking) -> bool:
        waiting = Booking.objects.filter(pk=row.pk, state=State.RECEIVED)
        due = waiting.update(next_at=timezone.now())
        wake_workers()
        return bool(due)


class ReconcileNow(AdminAction):
    """Look at once, also at a booking that was put before a person."""

    name = permission = "reconcile"
    label = _("Look for it now")

    def question(self, number: int) -> str:
        text = ngettext("Look for %(number)d booking?", "Look for %(number)d bookings?", number)
        return text % {"number": number}

    def button(self, number: int) -> str:
        return gettext("Yes, look now")

    def plan(self, row: Booking) -> tuple[bool, str]:
        if row.state == State.UNKNOWN:
            return True, gettext("meetergo's lists will be read; nothing is sent again")
        if row.state == State.PENDING:
            return True, gettext("meetergo will be asked whether it is confirmed")
        return False, gettext("Nothing is unclear about it – left alone")

    def carry_out(self, request: HttpRequest, row: Booking, form: forms.Form) -> ActionResult:
        client, now = build_client(row.connection, "reread"), timezone.now()
        if row.state == State.PENDING:
            found = check_pending(booking=row, client=client, now=now)
        else:
            # Whoever asks is the person it was put before.
            unclear = Booking.objects.filter(pk=row.pk, state=State.UNKNOWN, reason=Reason.NEEDS_STAFF)
            unclear.update(reason=Reason.NONE, next_at=now)
            found = reconcile_booking(booking=row, client=client, now=now)
        text = describe_state(found)
        return ActionResult(text=text, level=messages.WARNING if found.is_open else messages.SUCCESS)


class DeclineForm(forms.Form):
    reason = forms.CharField(
        label=_("Reason (optional)"),
        required=False,
        max_length=MAX_REASON,
        widget=forms.Textarea(attrs={"rows": 3, "cols": 60}),
        help_text=_("The people who asked will read it."),
    )


class Decline(AdminAction):
    name = permission = "decline"
    label = _("Decline…")
    form_class = DeclineForm

    def question(self, number: int) -> str:
        text = ngettext("Decline %(number)d request?", "Decline %(number)d requests?", number)
        return text % {"number": number}

    def button(self, number: int) -> str:
        text = ngettext("Yes, decline %(number)d request", "Yes, decline %(number)d requests", number)
        return text % {"number": number}

    def plan(self, row: Booking) -> tuple[bool, str]:
        if row.state != State.PENDING:
            return False, gettext("Does not wait for a confirmation – left alone")
        if row.reason not in {Reason.HOST, Reason.BOTH}:
            return False, gettext("Waits for the attendee, not for a host – left alone")
        return True, gettext("Will be declined; %(who)s will be told") % {"who": row.email or row.full_name}

    def carry_out(self, request: HttpRequest, row: Booking, form: forms.Form) -> ActionResult:
        ended = decline_booking(
            booking=row,
            client=build_client(row.connection, "write"),
            reason=form.cleaned_data["reason"],
            now=timezone.now(),
        )
        if ended.state == State.CLOSED and ended.reason == Reason.DECLINED:
            return ActionResult(text=gettext("declined"))
        return ActionResult(text=describe_state(ended), level=messages.WARNING)


ACTS = (Retry(), ReconcileNow(), Decline())


def describe_state(row: Booking) -> str:
    words = str(row.get_state_display())
    return f"{words}: {row.get_reason_display()}" if row.reason else words


@admin.register(Booking)
class BookingAdmin(BookForCallerMixin, ActionsMixin):
    acts = ACTS
    actions = [make_action(act) for act in ACTS]
    why_not = _(
        "A booking is what somebody asked for. It is kept as it was sent, so it cannot be edited or deleted; "
        "cancel or move the appointment that came of it."
    )
    list_display = ("received", "who", "meeting_type", "when", "status", "reference")
    list_select_related = ("meeting_type",)
    list_filter = (BookingAttention, "state", "reason", WhenFilter, TypeFilter, ConnectionFilter)
    search_fields = ("email_folded",)
    search_help_text = _("The beginning of an e-mail address or of a name, or a whole reference.")
    fieldsets = (
        (
            _("Booking"),
            {
                "fields": (
                    ("status", "meeting_type"),
                    ("when_long", "appointment"),
                    ("message", "field_errors"),
                )
            },
        ),
        (
            _("Who asked"),
            {
                "fields": (
                    ("first_name", "last_name", "contact"),
                    ("others", "answers"),
                    ("user", "tied_to", "zone"),
                )
            },
        ),
        (
            _("How it was sent"),
            {
                "fields": (
                    ("channel_name", "location"),
                    ("skip_notifications", "receive_reminders", "defer_consent"),
                )
            },
        ),
        (_("Timeline"), {"fields": ("timeline",)}),
        (
            _("Technical"),
            {
                "classes": ("collapse",),
                "fields": (
                    "connection",
                    "reference",
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

    def has_retry_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.may(request, "retry", obj)

    def has_reconcile_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.may(request, "reconcile", obj)

    def has_decline_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.may(request, "decline", obj)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        return queryset.filter(match_person(term) | Q(reference=term.upper())), False

    @admin.display(description=_("received"), ordering="pk")
    def received(self, row: Booking) -> str:
        return format_moment(row.created_at)

    @admin.display(description=_("attendee"))
    def who(self, row: Booking) -> SafeString | str:
        return render_hover(row.full_name or row.email or "–", row.email)

    @admin.display(description=_("start"), ordering="start")
    def when(self, row: Booking) -> SafeString | str:
        return render_hover(format_moment(row.start), format_moment_at_host(row.start, row.timezone))

    @admin.display(description=_("state"), ordering="state")
    def status(self, row: Booking) -> str:
        return describe_state(row)

    @admin.display(description=_("reference"))
    def reference(self, row: Booking) -> str:
        return row.reference

    @admin.display(description=_("start"))
    def when_long(self, row: Booking) -> str:
        there = format_moment_at_host(row.start, row.timezone)
        here = gettext("%(start)s, %(minutes)d minutes") % {
            "start": format_moment(row.start),
            "minutes": row.duration,
        }
        return f"{here}; {gettext('For the attendee: %(when)s') % {'when': there}}" if there else here

    @admin.display(description=_("appointment"))
    def appointment(self, row: Booking) -> SafeString | str:
        return render_link(row.attendee.appointment) if row.attendee else "–"

    @admin.display(description=_("contact"))
    def contact(self, row: Booking) -> str:
        return ", ".join(filter(None, [row.email, row.phone, row.company])) or "–"

    @admin.display(description=_("other people invited"))
    def others(self, row: Booking) -> str:
        return ", ".join(row.other_emails) or "–"

    @admin.display(description=_("answers"))
    def answers(self, row: Booking) -> SafeString | str:
        return format_html_join("", "{}: {}<br>", row.custom_fields.items()) or "–"

    @admin.display(description=_("tied to"))
    def tied_to(self, row: Booking) -> str:
        return str(row.subject or "–")

    @admin.display(description=_("time zone and language"))
    def zone(self, row: Booking) -> str:
        return ", ".join(filter(None, [row.timezone, row.language])) or "–"

    @admin.display(description=_("channel"))
    def channel_name(self, row: Booking) -> str:
        return name_channel(row.channel) or "–"

    @admin.display(description=_("what happened"))
    def timeline(self, row: Booking) -> SafeString:
        return timeline.describe(row)

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """The add button leads to the desk: choosing a time telephones, which this view may not."""
        return HttpResponseRedirect(self.own_url("call"))
