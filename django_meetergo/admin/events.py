"""Events in the admin: each transition of a booking or an appointment, and whether receivers have run."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Q
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from django_meetergo.admin.actions import ActionsMixin, MakeDueAction
from django_meetergo.admin.appointment_actions import describe_appointment
from django_meetergo.admin.bookings import describe_booking, filter_own_bookings
from django_meetergo.admin.display import format_moment
from django_meetergo.admin.filters import AttentionFilter, ConnectionFilter
from django_meetergo.models import Appointment, Booking, Event
from django_meetergo.services.events import retry_event


class EventAttention(AttentionFilter):
    REASONS = (
        ("undispatched", _("Not yet processed by this site"), lambda now: Q(dispatched_at=None)),
        ("dead", _("Given up"), lambda now: Q(dispatched_at=None, next_at=None)),
    )


class CallAgain(MakeDueAction):
    """Calls the receivers again that have failed; those that have succeeded are not called."""

    name = permission = "retry"
    label = _("Try again")
    result_text = _("will be processed in a moment")

    def preview(self, row: Event) -> tuple[bool, str]:
        if row.dispatched_at:
            return False, gettext("No change: already processed")
        return True, gettext("The receivers that have failed will be called again")

    def make_due(self, row: Event) -> bool:
        return retry_event(event=row, now=timezone.now())


#: The states of a receiver in ``Event.receivers``.
RECEIVER_STATES = {
    "done": _("done"),
    "calling": _("running"),
    "failing": _("failed, will be called again"),
    "dead": _("given up"),
}


@admin.register(Event)
class EventAdmin(ActionsMixin):
    actions = (CallAgain(),)
    readonly_notice = _("Events are written automatically when a booking or an appointment changes.")
    list_display = ("when", "kind", "appointment_link", "booking_link", "dispatched", "tries")
    list_filter = (EventAttention, "kind", ConnectionFilter)
    defer = ("appointment__raw", "appointment__secret")
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "when",
                    "kind",
                    "appointment_link",
                    "booking_link",
                    "attendee",
                    "dispatched",
                )
            },
        ),
        (
            _("Technical details"),
            {
                "classes": ("collapse",),
                "fields": ("results", "connection", "key", "data", "next_at", "tries"),
            },
        ),
    )

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).select_related("appointment__meeting_type", "booking")

    def filter_own(self, rows: Any, user: Any) -> Any:
        own = Q(appointment__in=Appointment.objects.of_host_user(user))
        return rows.filter(own | Q(booking__in=filter_own_bookings(Booking.objects.order_by(), user)))

    def describe_row(self, row: Event) -> str:
        if row.appointment:
            return f"{row} · {describe_appointment(row.appointment)}"
        return f"{row} · {describe_booking(row.booking)}" if row.booking else str(row)

    @admin.display(description=_("when"), ordering="pk")
    def when(self, row: Event) -> str:
        return format_moment(row.created_at)

    @admin.display(description=_("booking"))
    def booking_link(self, row: Event) -> SafeString | str:
        return self.render_link(row.booking)

    @admin.display(description=_("processed by this site"), ordering="dispatched_at")
    def dispatched(self, row: Event) -> str:
        return format_moment(row.dispatched_at)

    @admin.display(description=_("receivers"))
    def results(self, row: Event) -> SafeString | str:
        """Return each receiver of this site that was called, with its result and its last error."""
        lines = [
            (
                name,
                RECEIVER_STATES.get(result.get("state", ""), result.get("state", "")),
                gettext("attempts: %(number)d") % {"number": result.get("tries", 0)},
                result.get("error", ""),
            )
            for name, result in sorted(row.receivers.items())
        ]
        return format_html_join("", "<p><strong>{}</strong>: {}, {}<br>{}</p>", lines) or "–"
