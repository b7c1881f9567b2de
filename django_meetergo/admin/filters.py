"""Filters of lists. None of them scans a table to find its choices."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

from django.contrib.admin import SimpleListFilter
from django.db.models import CharField, Exists, F, OuterRef, Q, QuerySet, Value
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from django_meetergo.admin.display import midnight
from django_meetergo.conf import list_connection_names
from django_meetergo.models import (
    Appointment,
    AppointmentChange,
    Attendee,
    Booking,
    Host,
    MeetingType,
    sees_own_only,
)

#: Upcoming appointments that were last read longer ago need attention.
MAX_AGE = timedelta(days=1)


class WhenFilter(SimpleListFilter):
    """Filters by days in the current time zone. Each choice is a range of an indexed column."""

    title = _("period")
    parameter_name = "when"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [
            ("today", _("Today")),
            ("week", _("Next 7 days")),
            ("month", _("This month")),
            ("last_month", _("Last month")),
            ("upcoming", _("Today and later")),
            ("past", _("Past")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        now = timezone.localtime()
        today = now.date()
        this_month = today.replace(day=1)
        next_month = (this_month + timedelta(days=32)).replace(day=1)
        last_month = (this_month - timedelta(days=1)).replace(day=1)
        spans: dict[str | None, tuple[datetime | None, datetime | None]] = {
            "today": (midnight(today), midnight(today + timedelta(days=1))),
            "week": (midnight(today), midnight(today + timedelta(days=7))),
            "month": (midnight(this_month), midnight(next_month)),
            "last_month": (midnight(last_month), midnight(this_month)),
            "upcoming": (midnight(today), None),
            "past": (None, now),
        }
        since, until = spans.get(self.period, (None, None))
        if since:
            queryset = queryset.filter(start__gte=since)
        return queryset.filter(start__lt=until) if until else queryset

    @property
    def period(self) -> str | None:
        """Return the chosen period; None for all times."""
        return self.value()


class AppointmentWhenFilter(WhenFilter):
    """Shows today and later unless staff choose a period, search, or filter by attention or attendance."""

    def __init__(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        super().__init__(request, *args, **kwargs)
        self.default = get_appointment_period(request)

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [*super().lookups(request, model_admin), ("all", _("All"))]

    @property
    def period(self) -> str:
        return self.value() or self.default

    def choices(self, changelist: Any) -> Iterator[Any]:
        """Yield the choices without Django's "All", whose link would lead back to the default."""
        for value, title in self.lookup_choices:
            yield {
                "selected": self.period == str(value),
                "query_string": changelist.get_query_string({self.parameter_name: value}),
                "display": title,
            }


def get_appointment_period(request: HttpRequest) -> str:
    """Return which appointments a list shows: a value of ``AppointmentWhenFilter``."""
    is_narrowed = any(request.GET.get(name) for name in ("q", "attention", "attendance"))
    return request.GET.get("when") or ("all" if is_narrowed else "upcoming")


class AttendanceFilter(SimpleListFilter):
    """By what staff recorded. "Not recorded" leaves out appointments that are not over yet."""

    title = _("attendance")
    parameter_name = "attendance"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        recorded = [(each.value, each.label) for each in Appointment.Attendance if each.value]
        return [*recorded, ("none", _("past and not recorded"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        if value == "none":
            unrecorded = queryset.filter(attendance="", status=Appointment.Status.CONFIRMED)
            return unrecorded.filter(end__lte=timezone.now(), missing_since=None)
        return queryset.filter(attendance=value) if value else queryset


class ConnectionFilter(SimpleListFilter):
    """Shown only on sites with several connections."""

    title = _("connection")
    parameter_name = "connection"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        names = list_connection_names()
        return [(name, name) for name in names] if len(names) > 1 else []

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(connection=self.value()) if self.value() else queryset


def list_choices(request: HttpRequest, kind: str) -> list[tuple[str, str]]:
    """Return key and name of the types or hosts that this user sees. One query per request reads both."""
    known: list[tuple[str, int, str]] | None = getattr(request, "_meetergo_choices", None)
    if known is None:
        types = MeetingType.objects.order_by().annotate(what=Value("type", output_field=CharField()))
        hosts = Host.objects.order_by().annotate(what=Value("host", output_field=CharField()))
        if sees_own_only(request.user):
            hosts = hosts.filter(user=request.user.pk)
        both = types.values_list("what", "pk", "name").union(hosts.values_list("what", "pk", "name"))
        known = sorted(both, key=lambda row: (row[2].casefold(), row[1]))
        request._meetergo_choices = known  # type: ignore[attr-defined]
    return [(str(pk), name) for what, pk, name in known if what == kind and name]


class RelatedRowFilter(SimpleListFilter):
    """Filters by a related row. An unknown value finds nothing."""

    kind: str
    column: str

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return list_choices(request, self.kind)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        if not value:
            return queryset
        known = {key for key, _name in self.lookup_choices}
        return self.filter_by_key(queryset, value) if value in known else queryset.none()

    def filter_by_key(self, queryset: QuerySet[Any], key: str) -> QuerySet[Any]:
        return queryset.filter(**{self.column: key})


class TypeFilter(RelatedRowFilter):
    title, parameter_name = _("meeting type"), "type"
    kind, column = "type", "meeting_type"


class HostFilter(RelatedRowFilter):
    title, parameter_name = _("host"), "host"
    kind, column = "host", "host"

    def filter_by_key(self, queryset: QuerySet[Any], key: str) -> QuerySet[Any]:
        # A join would sort all appointments of the host to show one page of them.
        links = Appointment.hosts.through.objects.filter(appointment=OuterRef("pk"), host=int(key))
        return queryset.filter(Exists(links))


class AttentionFilter(SimpleListFilter):
    """Filters rows that need the attention of staff, by reason."""

    title = _("reason for attention")
    parameter_name = "attention"
    #: URL value, label, and a function that returns the condition at a given moment.
    REASONS: tuple[tuple[str, Any, Callable[[datetime], Q]], ...] = ()

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("any", _("Any reason")), *((value, words) for value, words, _find in self.REASONS)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if not self.value():
            return queryset
        now, rows = timezone.now(), queryset.model._default_manager.order_by()
        found = [
            rows.filter(find(now)).values("pk")
            for value, _words, find in self.REASONS
            if self.value() in {value, "any"}
        ]
        # Each reason uses an index of its own; conditions joined by OR would read the whole table.
        return queryset.filter(pk__in=found[0].union(*found[1:])) if found else queryset.none()


def find_unclear(now: datetime) -> Q:
    unclear = AppointmentChange.objects.filter(state=AppointmentChange.State.UNKNOWN)
    return Q(pk__in=unclear.values("appointment"))


def find_given_up(now: datetime) -> Q:
    """Return the condition for coming appointments as they were when a change of them was given up."""
    refused = AppointmentChange.objects.filter(state=AppointmentChange.State.REFUSED)
    given_up = refused.filter(
        outcome__in=["unreachable", "unverified"], previous_start=F("appointment__start")
    ).exclude(attendee__status=Attendee.Status.REMOVED)
    done = AppointmentChange.objects.filter(state=AppointmentChange.State.DONE, pk__gt=OuterRef("pk"))
    later = done.filter(appointment=OuterRef("appointment"))
    unchanged = given_up.exclude(Exists(later)).values("appointment")
    return Q(pk__in=unchanged, start__gte=now, status=Appointment.Status.CONFIRMED, missing_since=None)


def find_old(now: datetime) -> Q:
    unseen = Q(synced_at=None) | Q(synced_at__lt=now - MAX_AGE)
    return unseen & Q(start__gte=now, status=Appointment.Status.CONFIRMED, missing_since=None)


class AppointmentAttention(AttentionFilter):
    REASONS = (
        ("unclear", _("A change is being checked"), find_unclear),
        ("given_up", _("A change was given up"), find_given_up),
        ("missing", _("No longer at meetergo"), lambda now: Q(missing_since__isnull=False)),
        ("old", _("Not updated for a day"), find_old),
    )


class BookingAttention(AttentionFilter):
    REASONS = (
        ("needs_staff", _("Needs staff"), lambda now: Q(reason=Booking.Reason.NEEDS_STAFF)),
        ("unclear", _("Being checked"), lambda now: Q(state=Booking.State.UNKNOWN)),
        ("waiting", _("Waiting to be sent"), lambda now: Q(state=Booking.State.RECEIVED)),
    )
