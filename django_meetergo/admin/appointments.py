"""Appointments in the admin: their list and their page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.db.models import Count, Exists, OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from django_meetergo.admin.actions import ActionsMixin
from django_meetergo.admin.appointment_actions import ADMIN_ACTIONS, describe_appointment, list_attending
from django_meetergo.admin.attendees import AttendeeInline
from django_meetergo.admin.base import TermSearch
from django_meetergo.admin.batches import BatchMixin
from django_meetergo.admin.calendar import CalendarMixin
from django_meetergo.admin.display import (
    format_age,
    format_moment,
    format_moment_in_zone,
    render_contact,
    render_outside_link,
    render_status,
    render_with_title,
)
from django_meetergo.admin.export import ExportMixin
from django_meetergo.admin.filters import (
    AppointmentAttention,
    AppointmentWhenFilter,
    AttendanceFilter,
    ConnectionFilter,
    HostFilter,
    TypeFilter,
    get_appointment_period,
)
from django_meetergo.admin.search import filter_by_phone, match_person
from django_meetergo.admin.timeline import list_appointment_entries, render_timeline
from django_meetergo.conf import list_connection_names
from django_meetergo.models import (
    Appointment,
    AppointmentChange,
    Attendee,
    Booking,
    CalendarFeed,
    Connection,
    Host,
    may_see_appointments,
)
from django_meetergo.timezones import format_offset


def render_appointment_status(row: Appointment) -> SafeString:
    """Return the status of an appointment as a coloured badge, with the attendance once it is recorded."""
    if row.missing_since:
        return render_status(gettext("no longer at meetergo"), "bad")
    if row.is_cancelled:
        return render_status(row.get_status_display(), "off")
    if row.attendance:
        kind = "good" if row.attendance == Appointment.Attendance.CAME else "bad"
        return render_status(row.get_attendance_display(), kind)
    return render_status(row.get_status_display(), "good")


#: Who cancelled, as meetergo says it; other values are not shown.
CANCELLED_BY = {"attendee": _("by the attendee"), "host": _("by the host")}


@admin.register(Appointment)
class AppointmentAdmin(CalendarMixin, ExportMixin, BatchMixin, ActionsMixin, TermSearch):
    actions = ADMIN_ACTIONS
    inlines = [AttendeeInline]
    ordering = ("-start", "-pk")
    defer = ("raw", "secret")
    site_fields = ("note", "attendance")
    readonly_notice = _(
        "Appointments come from meetergo, so they cannot be added or deleted here. "
        "To make an appointment, book for somebody."
    )
    empty_notice = _(
        "There are no appointments yet. Run manage.py meetergo_sync, or choose “Sync now” on the page of "
        "a connection."
    )
    list_display = ("when", "who", "contact", "meeting_type", "host", "state")
    list_display_links = ("when",)
    list_select_related = ("meeting_type",)
    list_filter = (
        AppointmentWhenFilter,
        "status",
        AttendanceFilter,
        AppointmentAttention,
        TypeFilter,
        HostFilter,
        ConnectionFilter,
    )
    search_fields = ("attendees__email_folded",)
    search_help_text = _(
        "The start of a name or e-mail address, a phone number, or a complete reference or meetergo ID."
    )
    fieldsets = (
        (
            _("Appointment"),
            {"fields": (("when_long", "state"), ("people", "meeting_type", "host_names"))},
        ),
        (
            _("From meetergo"),
            {"fields": (("channel_name", "join", "location"), ("cancelled", "rescheduled", "last_read"))},
        ),
        (_("Internal"), {"fields": ("attendance", "note")}),
        (pgettext_lazy("of an appointment", "History"), {"fields": ("timeline",)}),
        (
            _("Technical details"),
            {
                "classes": ("collapse",),
                "fields": (
                    "connection",
                    "remote_id",
                    "public_id",
                    "remote_created_at",
                    "remote_updated_at",
                    "missing_since",
                    "document",
                ),
            },
        ),
    )

    def list_tools(self, request: HttpRequest) -> list[tuple[str, Any]]:
        user: Any = request.user
        tools: list[tuple[str, Any]] = [(self.get_admin_url("calendar"), _("Calendar"))]
        if self.has_export_permission(request):
            query = request.GET.urlencode()
            tools.append((f"{self.get_admin_url('export')}?{query}", _("Export (CSV)")))
        if user.has_perm("meetergo.add_calendarfeed"):
            tools.append((self.find_url(CalendarFeed, "add"), _("Subscribe in a calendar app")))
        if user.has_perm("meetergo.add_booking"):
            tools.append((self.find_url(Booking, "call"), _("Book for somebody")))
        return [(url, label) for url, label in tools if url]

    def describe_row(self, row: Appointment) -> str:
        return describe_appointment(row)

    # Permissions

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_view_permission(request, obj) or may_see_appointments(request.user)

    # Rows

    def filter_own(self, rows: Any, user: Any) -> QuerySet[Any]:
        own: QuerySet[Any] = rows.of_host_user(user)
        return own

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        people = Attendee.objects.filter(appointment=OuterRef("pk")).order_by("status", "pk")
        attending = people.filter(status=Attendee.Status.ATTENDING).order_by().values("appointment")
        hosts = Host.objects.filter(appointments=OuterRef("pk")).order_by("name")
        rows: QuerySet[Any] = super().get_queryset(request)
        # Subqueries, so that a list of a hundred rows needs no more statements than a list of one.
        annotated: QuerySet[Any] = rows.annotate(
            first_name_shown=Subquery(people.values("first_name")[:1]),
            last_name_shown=Subquery(people.values("last_name")[:1]),
            email_shown=Subquery(people.values("email")[:1]),
            phone_shown=Subquery(people.values("phone")[:1]),
            zone_shown=Subquery(people.values("timezone")[:1]),
            attending_count=Subquery(attending.annotate(number=Count("pk")).values("number")),
            host_shown=Subquery(hosts.values("name")[:1]),
        )
        return annotated

    def list_rows(self, request: HttpRequest, ids: Sequence[int]) -> list[Any]:
        open_changes = AppointmentChange.objects.filter(
            appointment=OuterRef("pk"), state__in=AppointmentChange.OPEN
        )
        rows = self.get_queryset(request).filter(pk__in=ids).annotate(has_open_change=Exists(open_changes))
        rows = rows.select_related("meeting_type").prefetch_related("attendees", "hosts")
        return list(rows.order_by("start", "pk"))

    def search(self, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        people = Attendee.objects.order_by()
        # A company's rows keep the name of the connection that was read first, also when it is removed.
        names = {*list_connection_names(), *Connection.objects.values_list("connection", flat=True)}
        by_id = Appointment.objects.order_by().filter(connection__in=names, remote_id=term)
        # A union of keys: with OR, no database would use the indexes.
        found = (
            people.filter(match_person(term))
            .values("appointment")
            .union(
                by_id.values("pk"),
                people.filter(booking__reference=term.upper()).values("appointment"),
                filter_by_phone(people, term).values("appointment"),
            )
        )
        return rows.filter(pk__in=found)

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        """Show the soonest first; the latest first when the list includes past appointments."""
        shows_past = get_appointment_period(request) in {"past", "all"}
        return self.ordering if shows_past else ("start", "pk")

    # Columns

    @admin.display(description=_("start"), ordering="start")
    def when(self, row: Any) -> SafeString | str:
        return render_with_title(
            format_moment(row.start), format_moment_in_zone(row.start, row.zone_shown or "")
        )

    @admin.display(description=_("attendee"))
    def who(self, row: Any) -> SafeString | str:
        name = f"{row.first_name_shown or ''} {row.last_name_shown or ''}".strip()
        shown = name or row.email_shown or "–"
        more = (row.attending_count or 0) - 1
        return render_with_title(f"{shown} +{more}" if more > 0 else shown, row.email_shown or "")

    @admin.display(description=_("contact"))
    def contact(self, row: Any) -> SafeString | str:
        return render_contact(row.email_shown or "", row.phone_shown or "")

    @admin.display(description=_("host"))
    def host(self, row: Any) -> str:
        return row.host_shown or "–"

    @admin.display(description=_("status"), ordering="status")
    def state(self, row: Appointment) -> SafeString:
        return render_appointment_status(row)

    # The page of one appointment

    @admin.display(description=_("when"))
    def when_long(self, row: Any) -> SafeString:
        local = timezone.localtime(row.start)
        on_site = gettext("%(start)s (%(offset)s), %(minutes)d minutes") % {
            "start": format_moment(row.start),
            "offset": format_offset(local),
            "minutes": row.minutes,
        }
        for_attendee = format_moment_in_zone(row.start, row.zone_shown or "")
        if not for_attendee:
            return format_html("{}", on_site)
        return format_html(
            "{}<br>{}", on_site, gettext("For the attendee: %(when)s") % {"when": for_attendee}
        )

    @admin.display(description=_("attendees"))
    def people(self, row: Appointment) -> SafeString | str:
        lines = (
            " · ".join(filter(None, [attendee.full_name, attendee.email, attendee.phone]))
            for attendee in list_attending(row)
        )
        return format_html_join("", "{}<br>", ((line,) for line in lines)) or "–"

    @admin.display(description=_("link to join"))
    def join(self, row: Appointment) -> SafeString | str:
        return render_outside_link(row.meeting_link)

    @admin.display(description=_("cancelled"))
    def cancelled(self, row: Appointment) -> str:
        if not row.is_cancelled:
            return "–"
        when = format_moment(row.cancelled_at) if row.cancelled_at else ""
        who = str(CANCELLED_BY.get(row.cancelled_by, ""))
        return ", ".join(filter(None, (when, who, row.cancellation_reason))) or gettext("cancelled")

    @admin.display(description=_("rescheduled"))
    def rescheduled(self, row: Appointment) -> str:
        if not row.previous_start:
            return "–"
        words = {"number": row.reschedule_count, "start": format_moment(row.previous_start)}
        text = ngettext(
            "%(number)d time, from %(start)s", "%(number)d times, last from %(start)s", row.reschedule_count
        )
        return text % words

    @admin.display(description=_("last read"))
    def last_read(self, row: Appointment) -> str:
        age = format_age(row.synced_at)
        return f"{format_moment(row.synced_at)} ({age})" if row.synced_at else age

    @admin.display(description=_("what happened"))
    def timeline(self, row: Appointment) -> SafeString:
        return render_timeline(list_appointment_entries(row))

    @admin.display(description=_("last document"))
    def document(self, row: Appointment) -> SafeString:
        text = json.dumps(row.raw, indent=2, ensure_ascii=False, sort_keys=True)
        return format_html("<pre>{}</pre>", text)
