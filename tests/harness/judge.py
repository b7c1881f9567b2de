"""Compare what a site holds and what its visitors were last shown with what the sandbox really holds."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

from django_meetergo.models import AppointmentChange, Attendee, Booking, Event, WebhookDelivery
from django_meetergo.sandbox.app import Sandbox
from tests.harness.visitor import Visit

REFERENCE = re.compile(r"MG-[0-9A-F]{20}")
#: Screens that promise an appointment, and screens that promise that there is none.
BOOKED_SCREENS = frozenset({"confirmed", "upcoming"})
NOT_BOOKED_SCREENS = frozenset(
    {"refused", "unreachable", "not_booked", "lapsed", "declined", "replaced", "slot_taken", "cancelled"}
)


def list_active_seats(sandbox: Sandbox) -> list[tuple[str, str, str]]:
    """Return (reference, appointment id, attendee id) of every active seat with a reference of ours."""
    return [
        (reference, appointment.id, attendee.id)
        for appointment in list(sandbox.state.appointments.values())
        if not appointment.is_cancelled
        for attendee in appointment.attendees
        for reference in REFERENCE.findall(str(attendee.answers))
    ]


def list_pending_references(sandbox: Sandbox) -> list[str]:
    """Return the references of the provisional bookings that still wait at the service."""
    return [
        reference
        for provisional in list(sandbox.state.provisionals.values())
        if provisional.status == "pending"
        for reference in set(REFERENCE.findall(str(provisional.request.body)))
    ]


def find_violations(sandbox: Sandbox) -> dict[str, list[str]]:
    """Return what must not be, by kind; call it when nothing is under way any more."""
    seats = Counter(reference for reference, _, _ in list_active_seats(sandbox))
    pending = Counter(list_pending_references(sandbox))
    bookings = {row.reference: row for row in Booking.objects.select_related("attendee__appointment")}
    confirmed = {reference for reference, row in bookings.items() if row.state == "confirmed"}
    cancelled = {
        row.booking.reference
        for row in Attendee.objects.filter(booking__isnull=False).select_related("booking", "appointment")
        if row.status == Attendee.Status.REMOVED or row.appointment.is_cancelled
    }
    closed = {reference for reference, row in bookings.items() if row.state == "closed"}
    return {
        "double": [reference for reference, number in seats.items() if number > 1],
        "lost": sorted(confirmed - cancelled - set(seats)),
        "phantom": sorted((set(seats) | set(pending)) - {*confirmed, *list_waiting(bookings)}),
        "unexplained": sorted(set(seats) & closed),
        "open": [
            f"{row.reference} {row.state} {row.reason}"
            for row in bookings.values()
            if row.state in {"received", "sending"}
            or (row.state == "unknown" and row.reason != "needs_staff")
        ],
    }


def list_waiting(bookings: dict[str, Booking]) -> list[str]:
    """Return the references of bookings that wait for a confirmation or for staff."""
    return [reference for reference, row in bookings.items() if row.state in {"pending", "unknown"}]


def list_untrue_pages(sandbox: Sandbox, visits: Iterable[Visit]) -> list[str]:
    """Return the visits whose last page contradicts what the service holds for that person."""
    emails = Counter(
        attendee.email.casefold()
        for appointment in list(sandbox.state.appointments.values())
        if not appointment.is_cancelled
        for attendee in appointment.attendees
        if REFERENCE.search(str(attendee.answers))
    )
    untrue = []
    for visit in visits:
        number = emails[visit.email.casefold()]
        if visit.screen in BOOKED_SCREENS and not number:
            untrue.append(f"{visit.email} was told {visit.screen}: no appointment")
        if visit.screen in NOT_BOOKED_SCREENS and number:
            untrue.append(f"{visit.email} was told {visit.screen}: {number} appointment(s)")
    return untrue


def is_quiet() -> bool:
    """Whether nothing of the site waits for a worker."""
    return not (
        Booking.objects.filter(state__in=("received", "sending")).exists()
        or Booking.objects.filter(state="unknown").exclude(reason="needs_staff").exists()
        or AppointmentChange.objects.filter(state__in=AppointmentChange.OPEN).exists()
        or Event.objects.filter(dispatched_at=None).exists()
        or WebhookDelivery.objects.filter(state="pending").exists()
    )


def describe_bookings() -> dict[str, Any]:
    rows = Booking.objects.values_list("state", "reason")
    return dict(Counter(" ".join(filter(None, row)) for row in rows))
