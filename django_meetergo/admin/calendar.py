"""The calendar of appointments: a day, a week or a month, rendered on the server, without script."""

from __future__ import annotations

import calendar
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.core.exceptions import PermissionDenied
from django.db.models import Exists, OuterRef, Prefetch, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from django_meetergo.admin.base import MeetergoAdmin
from django_meetergo.admin.bookings import filter_own_bookings
from django_meetergo.admin.calendar_layout import Column, build_column, choose_hours
from django_meetergo.admin.display import midnight
from django_meetergo.admin.filters import list_choices
from django_meetergo.models import Appointment, AppointmentChange, Booking, Host, sees_own_only
from django_meetergo.presentation.month import get_week_start, parse_day

VIEWS = (("day", _("Day")), ("week", _("Week")), ("month", _("Month")))
#: Years that the calendar opens; dates far from them overflow.
YEARS = range(2000, 2101)
#: Appointments that one page shows.
MAX_APPOINTMENTS = 2000
#: With more hosts, the day shows only those who have appointments.
MAX_EMPTY_COLUMNS = 12
#: Lines of a week that fit on a printed sheet in the usual size; more are printed smaller.
MAX_PRINTED_LINES = 45
#: Appointments in a cell of the month; the others are counted.
MAX_PER_CELL = 4


@dataclass(frozen=True, kw_only=True)
class CalendarQuery:
    """What the calendar shows: a view, a day in it, and the keys of a host and a meeting type, or empty."""

    view: str
    day: date
    host: str = ""
    type: str = ""

    @property
    def first(self) -> date:
        """Return the first day that is shown."""
        if self.view == "day":
            return self.day
        start = self.day.replace(day=1) if self.view == "month" else self.day
        return start - timedelta(days=(start.isoweekday() - get_week_start()) % 7)

    @property
    def days(self) -> list[date]:
        """Return all days that are shown; a month is shown in whole weeks."""
        if self.view == "day":
            return [self.day]
        count = 7
        if self.view == "month":
            last = self.day.replace(day=calendar.monthrange(self.day.year, self.day.month)[1])
            count = -(-((last - self.first).days + 1) // 7) * 7
        return [self.first + timedelta(days=number) for number in range(count)]

    @property
    def span(self) -> tuple[datetime, datetime]:
        """Return the beginning of the first day and the end of the last."""
        days = self.days
        return midnight(days[0]), midnight(days[-1] + timedelta(days=1))

    def encode(self, **changes: Any) -> str:
        """Return the query string, with changes."""
        values = {"view": self.view, "date": self.day, "host": self.host, "type": self.type, **changes}
        return "?" + urlencode({name: str(value) for name, value in values.items() if value})

    def shift(self, direction: int) -> str:
        """Return the query string of the next (1) or the previous (-1) page."""
        if self.view == "month":
            months = self.day.year * 12 + self.day.month - 1 + direction
            return self.encode(date=date(months // 12, months % 12 + 1, 1))
        return self.encode(date=self.day + timedelta(days=direction * (7 if self.view == "week" else 1)))


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One day of the week or the month, in the week of one host."""

    day: date
    is_today: bool
    is_outside: bool
    appointments: Sequence[Any]
    #: Query string of the calendar that shows this day.
    day_url: str
    more: int = 0
    #: Leads to "Book for somebody" on this day; empty when nothing can be booked.
    book_url: str = ""


def parse_query(request: HttpRequest) -> CalendarQuery:
    """Return what the request asks for; unknown values are replaced by today's week."""
    today = timezone.localdate()
    day = parse_day(request.GET.get("date")) or today
    view = request.GET.get("view", "")
    known = {kind: request.GET.get(kind, "") for kind in ("host", "type")}
    return CalendarQuery(
        view=view if view in dict(VIEWS) else "week",
        day=day if day.year in YEARS else today,
        **{kind: key for kind, key in known.items() if key in dict(list_choices(request, kind))},
    )


class CalendarMixin(MeetergoAdmin):
    """The calendar beside the list of appointments."""

    def get_urls(self) -> list[Any]:
        return [self.build_url_pattern("calendar/", self.calendar_view, "calendar"), *super().get_urls()]

    def calendar_view(self, request: HttpRequest) -> HttpResponse:
        """Show the appointments that this user may see. Does not call meetergo."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        query, now = parse_query(request), timezone.now()
        rows = self.list_calendar_rows(request, query)
        user: Any = request.user
        book_url = self.find_url(Booking, "call") if user.has_perm("meetergo.add_booking") else ""
        own_user = request.user if sees_own_only(request.user) else None
        hosts = list_hosts(rows, query, own_user)
        context: dict[str, Any] = {}
        if query.view == "month":
            context["weeks"] = build_month(rows, query, now)
        elif query.view == "week" and len(hosts) != 1:
            context["lines"] = lines = build_week(rows, query, hosts, now, book_url=book_url)
            context["is_dense"] = count_printed_lines(lines) > MAX_PRINTED_LINES
        else:
            context |= build_grid(rows, query, hosts, now, can_book=bool(book_url))
            if query.view == "day" and self.is_permitted(request, "handoff"):
                context["columns"] = [self.add_handoff_url(column, now) for column in context["columns"]]
        return self.render_page(
            request,
            "calendar.html",
            title=_("Calendar"),
            query=query,
            views=[(query.encode(view=view), label, view == query.view) for view, label in VIEWS],
            previous_url=query.shift(-1),
            today_url=query.encode(date=""),
            next_url=query.shift(1),
            last=query.days[-1],
            hosts=list_choices(request, "host"),
            types=list_choices(request, "type"),
            numbers=count_rows(rows, query, own_user),
            is_cut=len(rows) == MAX_APPOINTMENTS,
            book_url=book_url,
            has_no_own_host=own_user is not None,
            has_hosts=bool(hosts) or Host.objects.filter(missing_since=None).exists(),
            **context,
        )

    def add_handoff_url(self, column: Column, now: datetime) -> Column:
        """Return a host's day with the link that hands the rest of it over to a colleague."""
        rows = [block.appointment for block in column.blocks]
        ids = [
            str(row.pk) for row in rows if row.start > now and not row.is_cancelled and not row.missing_since
        ]
        if column.host is None or not ids:
            return column
        return replace(column, handoff_url=f"{self.get_admin_url('handoff')}?ids={','.join(ids)}")

    def list_calendar_rows(self, request: HttpRequest, query: CalendarQuery) -> list[Any]:
        """Return the appointments of the shown days by start, with their hosts."""
        since, until = query.span
        # An appointment that began on an earlier day is at most a day long.
        rows: QuerySet[Any] = self.get_queryset(request).filter(
            start__gte=since - timedelta(days=1), start__lt=until, end__gt=since
        )
        if query.host:
            rows = rows.filter(hosts=query.host)
        if query.type:
            rows = rows.filter(meeting_type_id=int(query.type))
        unclear = AppointmentChange.objects.filter(
            appointment=OuterRef("pk"), state=AppointmentChange.State.UNKNOWN
        )
        rows = rows.annotate(is_unclear=Exists(unclear)).select_related("meeting_type")
        rows = rows.defer("raw", "secret", "meeting_type__raw")
        rows = rows.prefetch_related(Prefetch("hosts", Host.objects.defer("raw")))
        return list(rows.order_by("start", "pk")[:MAX_APPOINTMENTS])


def list_hosts(rows: Iterable[Any], query: CalendarQuery, own_user: Any) -> list[Any]:
    """Return the hosts that get a column, by name; None stands for appointments without a host.

    ``own_user`` is given for a user who sees their own hosts only.
    """
    found = {host.pk: host for row in rows for host in row.hosts.all()}
    everyone = Host.objects.defer("raw").filter(missing_since=None)
    if query.host:
        return list(Host.objects.defer("raw").filter(pk=query.host))
    if own_user is not None:
        return list(Host.objects.defer("raw").filter(user=own_user.pk).order_by("name", "pk"))
    present = list(everyone.order_by("name", "pk")[: MAX_EMPTY_COLUMNS + 1])
    if len(present) <= MAX_EMPTY_COLUMNS:
        found |= {host.pk: host for host in present}
    hosts: list[Any] = sorted(found.values(), key=lambda host: (host.name.casefold(), host.pk))
    return hosts + [None] * any(not row.hosts.all() for row in rows)


def group_rows(rows: Iterable[Any], until: date) -> dict[tuple[date, Any], list[Any]]:
    """Return the appointments by day, up to a last one, and key of the host; None is "without a host"."""
    groups: dict[tuple[date, Any], list[Any]] = defaultdict(list)
    for row in rows:
        first, last = timezone.localdate(row.start), timezone.localdate(row.end - timedelta(microseconds=1))
        keys = [host.pk for host in row.hosts.all()] or [None]
        for number in range((max(min(last, until), first) - first).days + 1):
            for key in keys:
                groups[first + timedelta(days=number), key].append(row)
    return groups


def get_key(host: Any) -> Any:
    return host.pk if host is not None else None


def build_grid(
    rows: Sequence[Any], query: CalendarQuery, hosts: Sequence[Any], now: datetime, *, can_book: bool
) -> dict[str, Any]:
    """Return the columns of a day (one per host), or of the week of one host (one per day)."""
    groups = group_rows(rows, query.days[-1])
    pairs = [(day, host) for day in query.days for host in hosts]
    hours = choose_hours((row, day) for day, host in pairs for row in groups[day, get_key(host)])
    columns: list[Column] = [
        build_column(
            groups[day, get_key(host)],
            day=day,
            host=host,
            hours=hours,
            now=now,
            with_free=can_book and host is not None,
        )
        for day, host in pairs
    ]
    return {"columns": columns, "marks": hours.list_marks()}


def build_week(
    rows: Sequence[Any], query: CalendarQuery, hosts: Sequence[Any], now: datetime, *, book_url: str
) -> list[tuple[Any, list[Cell]]]:
    """Return each host with a cell per day."""
    groups, today = group_rows(rows, query.days[-1]), timezone.localdate(now)
    return [
        (
            host,
            [
                Cell(
                    day=day,
                    is_today=day == today,
                    is_outside=False,
                    appointments=groups[day, get_key(host)],
                    day_url=query.encode(view="day", date=day),
                    book_url=f"{book_url}?host={host.pk}&day={day}"
                    if book_url and host and day >= today
                    else "",
                )
                for day in query.days
            ],
        )
        for host in hosts
    ]


def count_printed_lines(lines: Iterable[tuple[Any, list[Cell]]]) -> int:
    """Return how many lines of text the table of a week is high."""
    return sum(max(1, *(len(cell.appointments) for cell in cells)) for _host, cells in lines)


def build_month(rows: Sequence[Any], query: CalendarQuery, now: datetime) -> list[list[Cell]]:
    """Return the weeks of the month, each with a cell per day."""
    by_day: dict[date, list[Any]] = defaultdict(list)
    for row in rows:
        by_day[timezone.localdate(row.start)].append(row)
    today = timezone.localdate(now)
    cells = [
        Cell(
            day=day,
            is_today=day == today,
            is_outside=day.month != query.day.month,
            appointments=by_day[day][:MAX_PER_CELL],
            day_url=query.encode(view="day", date=day),
            more=max(len(by_day[day]) - MAX_PER_CELL, 0),
        )
        for day in query.days
    ]
    return [cells[start : start + 7] for start in range(0, len(cells), 7)]


def count_rows(rows: Iterable[Any], query: CalendarQuery, own_user: Any) -> dict[str, int]:
    """Return the numbers of the shown days: appointments, and bookings that wait for a confirmation."""
    since, until = query.span
    shown = [row for row in rows if row.start >= since]
    pending: QuerySet[Any] = Booking.objects.filter(state=Booking.State.PENDING)
    pending = pending.filter(start__gte=since, start__lt=until)
    if query.type:
        pending = pending.filter(meeting_type_id=int(query.type))
    if query.host:
        pending = pending.filter(meeting_type__hosts=int(query.host))
    if own_user is not None:
        pending = filter_own_bookings(pending, own_user)
    active = [row for row in shown if not row.is_cancelled and not row.missing_since]
    return {
        "booked": len(active),
        "cancelled": sum(row.status == Appointment.Status.CANCELLED for row in shown),
        "pending": pending.count(),
        "attention": sum(bool(row.missing_since or row.is_unclear) for row in shown),
    }
