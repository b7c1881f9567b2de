"""Ways to narrow a list. None of them scans a table for its choices."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from typing import Any

from django.contrib.admin import SimpleListFilter
from django.db.models import CharField, Exists, OuterRef, Q, QuerySet, Value
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from django_meetergo.conf import list_connection_names
from django_meetergo.models import Appointment, AppointmentChange, Booking, Host, MeetingType

#: A coming appointment that was not read for so long is worth a look.
OLD = timedelta(days=1)


def midnight(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time.min))


class WhenFilter(SimpleListFilter):
    """By the site's calendar. Every choice is a range of an indexed column."""

    title = _("when")
    parameter_name = "when"
    column = "start"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [
            ("today", _("Today")),
            ("week", _("Next 7 days")),
            ("month", _("This month")),
            ("upcoming", _("Upcoming")),
            ("past", _("Past")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        now = timezone.localtime()
        today = now.date()
        next_month = (today.replace(day=1) + timedelta(days=32)).replace(day=1)
        spans: dict[str | None, tuple[datetime | None, datetime | None]] = {
            "today": (midnight(today), midnight(today + timedelta(days=1))),
            "week": (midnight(today), midnight(today + timedelta(days=7))),
            "month": (midnight(today.replace(day=1)), midnight(next_month)),
            "upcoming": (now, None),
            "past": (None, now),
        }
        since, until = spans.get(self.value(), (None, None))
        if since:
            queryset = queryset.filter(**{f"{self.column}__gte": since})
        return queryset.filter(**{f"{self.column}__lt": until}) if until else queryset


class ConnectionFilter(SimpleListFilter):
    """Shown on sites with several accounts only."""

    title = _("account")
    parameter_name = "connection"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        names = list_connection_names()
        return [(name, name) for name in names] if len(names) > 1 else []

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(connection=self.value()) if self.value() else queryset


def list_choices(request: HttpRequest, kind: str) -> list[tuple[str, str]]:
    """Meeting types or hosts to choose from; one statement a page brings both."""
    known: list[tuple[str, int, str]] | None = getattr(request, "_meetergo_choices", None)
    if known is None:
        types = MeetingType.objects.order_by().annotate(what=Value("type", output_field=CharField()))
        hosts = Host.objects.order_by().annotate(what=Value("host", output_field=CharField()))
        both = types.values_list("what", "pk", "name").union(hosts.values_list("what", "pk", "name"))
        known = sorted(both, key=lambda row: (row[2].casefold(), row[1]))
        request._meetergo_choices = known  # type: ignore[attr-defined]
    return [(str(pk), name) for what, pk, name in known if what == kind and name]


class ByKey(SimpleListFilter):
    """Rows that point at a chosen row. A value that is no key finds nothing."""

    kind: str
    column: str

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return list_choices(request, self.kind)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        if not value:
            return queryset
        known = {key for key, _name in self.lookup_choices}
        return self.narrow(queryset, value) if value in known else queryset.none()

    def narrow(self, queryset: QuerySet[Any], key: str) -> QuerySet[Any]:
        return queryset.filter(**{self.column: key})


class TypeFilter(ByKey):
    title, parameter_name = _("meeting type"), "type"
    kind, column = "type", "meeting_type"


class HostFilter(ByKey):
    title, parameter_name = _("host"), "host"
    kind, column = "host", "host"

    def narrow(self, queryset: QuerySet[Any], key: str) -> QuerySet[Any]:
        # A join would sort all of a host's appointments for one page of them.
        links = Appointment.hosts.through.objects.filter(appointment=OuterRef("pk"), host=int(key))
        return queryset.filter(Exists(links))


class AttentionFilter(SimpleListFilter):
    """Rows a person should look at, by reason."""

    title = _("needs attention")
    parameter_name = "attention"
    #: Value, words, and how such rows are found at a moment.
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
        # Each reason finds its rows by an index of its own; OR between them would read the whole table.
        return queryset.filter(pk__in=found[0].union(*found[1:])) if found else queryset.none()


def find_unclear(now: datetime) -> Q:
    unclear = AppointmentChange.objects.filter(state=AppointmentChange.State.UNKNOWN)
    return Q(pk__in=unclear.values("appointment"))


def find_old(now: datetime) -> Q:
    unseen = Q(synced_at=None) | Q(synced_at__lt=now - OLD)
    return unseen & Q(start__gte=now, status=Appointment.Status.CONFIRMED, missing_since=None)


class AppointmentAttention(AttentionFilter):
    REASONS = (
        ("unclear", _("A change is being checked"), find_unclear),
        ("missing", _("Missing at meetergo"), lambda now: Q(missing_since__isnull=False)),
        ("old", _("Not read for a day"), find_old),
    )


class BookingAttention(AttentionFilter):
    REASONS = (
        (
            "person",
            _("A person must look"),
            lambda now: Q(state=Booking.State.UNKNOWN, reason=Booking.Reason.NEEDS_STAFF),
        ),
        ("unclear", _("Being checked"), lambda now: Q(state=Booking.State.UNKNOWN)),
        ("waiting", _("Waiting to be sent"), lambda now: Q(state=Booking.State.RECEIVED)),
    )
