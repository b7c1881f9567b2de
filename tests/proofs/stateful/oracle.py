"""The invariants: after every step, and at rest.

The sandbox's state and request log show what really happened; the site's tables are compared with them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from django_meetergo.models import (
    Appointment,
    AppointmentChange,
    Attendee,
    Booking,
    BookingAttempt,
    Event,
    WebhookDelivery,
)
from django_meetergo.sandbox.clock import parse_instant, print_instant
from django_meetergo.services import events
from django_meetergo.services.matching import REFERENCE_KEY
from tests.proofs.stateful.world import World

UNKNOWN = ("", BookingAttempt.Outcome.UNKNOWN)
#: States that a worker may still give a booking whose lease it has lost: a late success is a success.
RESULT_STATES = frozenset({"confirmed", "pending"})
#: The columns that every step reads; whole rows would take half of its time.
COLUMNS = (
    "pk", "reference", "state", "reason", "attendee_id", "attendee__appointment__remote_id",
    "meeting_type_id", "email_folded", "open_booking_key", "slot_hold_key", "closed_at", "outcome_deadline",
)  # fmt: skip
FINGERPRINT = ("pk", "remote_id", "start", "status", "digest", "missing_since", "remote_updated_at")


@dataclass
class Memory:
    """What the last step saw."""

    rows: dict[int, tuple[Any, ...]] = field(default_factory=dict)
    attendees: dict[int, tuple[Any, ...]] = field(default_factory=dict)
    moves: Counter[int] = field(default_factory=Counter)
    answers: int = 0
    read: int = 0  # entries of the request log
    made: dict[str, set[tuple[str, str]]] = field(default_factory=lambda: defaultdict(set))
    attempts: int = 0


class Oracle:
    """Compares both sides; a violation is a sentence that begins with the name of its invariant."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.memory = Memory()

    def check_step(self) -> list[str]:
        """Return the violations of everything that must hold at any moment."""
        self.read_journal()
        bookings = list(Booking.objects.values_list(*COLUMNS, named=True))
        attempts: dict[int, list[str]] = defaultdict(list)
        for booking_id, outcome in BookingAttempt.objects.values_list("booking_id", "outcome"):
            attempts[booking_id].append(outcome)
        mirrored = list(Appointment.objects.values_list(*FINGERPRINT))
        people = list(Attendee.objects.values_list("pk", "appointment_id", "remote_id", "status", "email"))
        recorded = list(Event.objects.values_list("kind", "appointment_id", "attendee_id", "booking_id"))
        found = [
            *self.world.violations,
            *self.check_bookings(bookings),
            *self.check_attempts(bookings, attempts),
            *check_open_keys(bookings),
            *self.check_mirror(mirrored, people),
            *self.check_events(mirrored, people, recorded),
            *self.check_lost_leases(),
        ]
        self.memory.rows = {row[0]: row for row in mirrored}
        self.memory.attendees = {row[0]: row for row in people}
        self.memory.answers = self.world.answers
        self.memory.moves = count_kind(recorded, Event.Kind.APPOINTMENT_RESCHEDULED)
        return found

    def read_journal(self) -> None:
        """Remember which appointments each reference has led to."""
        fresh = self.world.sandbox.request_log.entries(since=self.memory.read)
        self.memory.read += len(fresh)
        for entry in fresh:
            attendee = entry.get("attendee") or {}
            reference = (attendee.get("notes") or {}).get(REFERENCE_KEY)
            if reference and entry.get("change") in {"appointment_created", "attendee_added"}:
                self.memory.made[reference].add((entry["appointmentId"], attendee["id"]))

    # I1, I2

    def check_bookings(self, bookings: list[Any]) -> Iterator[str]:
        for booking in bookings:
            early = booking.reason == "not_booked" and booking.closed_at < booking.outcome_deadline
            if early:
                yield f"I4: {show(booking)} before the service's time was up"
            if (booking.state == "confirmed") != (booking.attendee_id is not None):
                yield f"I2: {show(booking)} and its attendee is {booking.attendee_id}"
            elif booking.attendee_id is not None:
                yield from self.check_confirmed(booking)

    def check_confirmed(self, booking: Any) -> Iterator[str]:
        remote_id = booking.attendee__appointment__remote_id
        bookings = self.world.sandbox.state
        if remote_id not in bookings.appointments and remote_id not in self.world.forgotten:
            yield f"I2: {show(booking)} names an appointment the service never had"
        if self.hides_references or remote_id in self.world.forgotten:
            return
        made = {appointment for appointment, _ in self.memory.made[booking.reference]}
        if remote_id not in made | self.find_copies(booking.reference):
            yield f"I2: {show(booking)} names {remote_id}, which was not made for it"

    @property
    def hides_references(self) -> bool:
        return self.world.sandbox.settings.hide_answers

    def find_seats(self, *, active: bool = True) -> dict[str, list[str]]:
        """The appointments in which each reference has a seat now."""
        seats: dict[str, list[str]] = defaultdict(list)
        for one in self.world.appointments(active=active):
            for person in one.attendees:
                if reference := person.answers.get(REFERENCE_KEY):
                    seats[reference].append(one.id)
        return seats

    def find_copies(self, reference: str) -> set[str]:
        return set(self.find_seats(active=False)[reference])

    # I5, I6, I7

    def check_attempts(self, bookings: list[Any], attempts: dict[int, list[str]]) -> Iterator[str]:
        for booking in bookings:
            outcomes = attempts[booking.pk]
            if self.world.posts[booking.reference] > len(outcomes):
                posts = self.world.posts[booking.reference]
                yield f"I5: {show(booking)} has {outcomes}, the service saw {posts} POSTs"
            if sum(outcome in UNKNOWN for outcome in outcomes) > 1:
                yield f"I6: {show(booking)} has several unclear attempts: {outcomes}"
        number = sum(len(outcomes) for outcomes in attempts.values())
        if number < self.memory.attempts:
            yield f"I5: {self.memory.attempts - number} attempts have been deleted"
        self.memory.attempts = number

    # I9

    def check_mirror(self, mirrored: list[Any], people: list[Any]) -> Iterator[str]:
        """Only answers change the mirror; it never goes back in time and never shrinks."""
        is_unasked = self.world.answers == self.memory.answers
        rows = {row[0]: row for row in mirrored}
        if is_unasked and (
            rows != self.memory.rows or {row[0]: row for row in people} != self.memory.attendees
        ):
            changed = [row for pk, row in rows.items() if row != self.memory.rows.get(pk)]
            yield f"I9: the mirror changed although nobody was asked: {changed}"
        if gone := set(self.memory.rows) - set(rows):
            yield f"I9: mirrored rows are gone: {gone}"
        bookings = self.world.sandbox.state
        for pk, remote_id, start, status, digest, missing_since, updated_at in mirrored:
            if missing_since and remote_id in bookings.appointments:
                yield f"I9: {remote_id} is held to be missing, and the service has it"
            if digest and (print_instant(start), status == "cancelled") not in self.list_shown(remote_id):
                yield f"I9: {remote_id} is mirrored as {start} {status}, which no answer said"
            before = self.memory.rows.get(pk)
            if before and before[6] and updated_at < before[6]:
                yield f"I9: the mirror of {remote_id} went back in time"

    def list_shown(self, remote_id: str) -> set[tuple[str, bool]]:
        return {(print_instant(as_utc(start)), cancelled) for start, cancelled in self.world.shown[remote_id]}

    # I10

    def check_events(self, mirrored: list[Any], people: list[Any], recorded: list[Any]) -> Iterator[str]:
        """Each transition of the mirror left one row."""
        cancelled = {row[0] for row in mirrored if row[3] == "cancelled"}
        events_of = count_kind(recorded, Event.Kind.APPOINTMENT_CANCELLED)
        if events_of != Counter(cancelled):
            yield f"I10: cancelled are {sorted(cancelled)}, events say {dict(events_of)}"
        booked = count_kind(recorded, Event.Kind.APPOINTMENT_BOOKED, of=2)
        removed = count_kind(recorded, Event.Kind.ATTENDEE_REMOVED, of=2)
        for pk, appointment_id, _, status, _ in people:
            # A cancelled appointment needs no other event than its cancellation.
            if appointment_id in cancelled:
                continue
            if booked[pk] != 1:
                yield f"I10: attendee {pk} is {status} with {booked[pk]} events that say booked"
            if removed[pk] != (status == "removed"):
                yield f"I10: attendee {pk} is {status} with {removed[pk]} events that say removed"
        moves = count_kind(recorded, Event.Kind.APPOINTMENT_RESCHEDULED)
        for row in mirrored:
            before = self.memory.rows.get(row[0])
            moved = before is not None and before[2] != row[2] and row[3] != "cancelled"
            if moved and moves[row[0]] <= self.memory.moves[row[0]]:
                yield f"I10: {row[1]} moved from {before[2]} to {row[2]} without an event"

    # I12

    def check_lost_leases(self) -> Iterator[str]:
        """A worker that lost its lease during a call has changed nothing since, except by a late success."""
        for (model, pk), state in self.world.lost_leases.items():
            row = model.objects.get(pk=pk)
            now = getattr(row, "state", row.next_at)
            if now == state or (model is Booking and now in RESULT_STATES):
                continue
            if getattr(row, "reason", "") == "replaced":
                continue  # by its attendee, who has chosen another time: no worker did that
            yield f"I12: {model.__name__} {pk} was {state} when its lease was lost and is now {now}"
        self.world.lost_leases = {}

    # At rest

    def check_deliveries_took_effect(self) -> Iterator[str]:
        """What an accepted delivery named has been re-read: a failed delivery is tried again (F21, F25)."""
        given_up = set(
            WebhookDelivery.objects.filter(state__in=("unconfirmed", "dead")).values_list(
                "remote_id", flat=True
            )
        )
        for one in self.world.appointments(active=False):
            delivered = self.world.delivered.get(one.id, "")
            if delivered >= print_instant(one.updated_at) and one.id not in given_up:
                yield from self.compare(one, "although its delivery was accepted and worked on")

    def check_rest(self) -> list[str]:
        """Return the violations of everything that must hold at rest."""
        self.read_journal()
        return [
            *self.check_i3(),
            *self.check_i4(),
            *self.check_changes(),
            *self.check_i8(),
            *self.check_nothing_waits(),
        ]

    def check_i3(self) -> Iterator[str]:
        seats = self.find_seats()
        bookings = {booking.reference: booking for booking in Booking.objects.all()}
        for reference, active in seats.items():
            booking = bookings[reference]
            if len(active) > 1 and not self.hides_references:
                yield f"I1: {len(active)} active appointments belong to {show(booking)}"
            # Without references two may look alike; then the booking is left to staff.
            is_left_to_staff = self.hides_references and booking.reason == "needs_staff"
            if booking.state != "confirmed" and not is_left_to_staff:
                yield f"I3: {show(booking)} although {active} is active at the service"

    def check_i4(self) -> Iterator[str]:
        pending = self.world.sandbox.state.pending
        for booking in Booking.objects.open():
            is_waiting = booking.provisional_id in pending
            is_left_to_staff = booking.state == "unknown" and booking.reason == "needs_staff"
            if not is_left_to_staff and not (booking.state == "pending" and is_waiting):
                yield f"I4: {show(booking)} is stuck, next read at {booking.next_at}"

    def check_changes(self) -> Iterator[str]:
        for change in AppointmentChange.objects.select_related("appointment", "attendee"):
            if change.is_open:
                yield f"I4: change {change.pk} ({change.kind}) is stuck as {change.state}"
            elif change.state == "done" and not self.has_happened(change):
                yield f"I2: change {change.pk} ({change.kind}) is stored as done and did not happen"

    def has_happened(self, change: AppointmentChange) -> bool:
        remote_id = change.appointment.remote_id
        if remote_id in self.world.forgotten:
            return True
        remote = self.world.sandbox.state.appointments[remote_id]
        if change.kind == AppointmentChange.Kind.RESCHEDULE:
            entries = self.world.sandbox.request_log.entries(kind="applied")
            return any(
                entry.get("appointmentId") == remote_id
                and entry["change"] == "appointment_rescheduled"
                and parse_instant(entry["start"]) == change.target_start
                for entry in entries
            )
        present = {person.id for person in remote.attendees}
        left = change.attendee is not None and change.attendee.remote_id not in present
        return remote.is_cancelled or left

    def check_i8(self) -> Iterator[str]:
        for one in self.world.appointments(active=False):
            yield from self.compare(one, "at rest")

    def compare(self, one: Any, when: str) -> Iterator[str]:
        row = Appointment.objects.filter(remote_id=one.id).first()
        if row is None:
            yield f"I8: {one.id} is not in the mirror {when}"
            return
        if (row.start, row.is_cancelled) != (one.start, one.is_cancelled) or row.missing_since:
            yield f"I8: {one.id} is {one.start} {one.is_cancelled}, mirrored {row.start} {row.status} {when}"
        here = sorted(str(person.remote_id) for person in row.attendees.exclude(status="removed"))
        there = sorted(person.id for person in one.attendees)
        if here != there:
            yield f"I8: {one.id} is attended by {there}, mirrored {here} {when}"

    def check_nothing_waits(self) -> Iterator[str]:
        for event in Event.objects.filter(dispatched_at=None):
            yield f"I10: event {event.key} has not been dispatched"
        for event in Event.objects.filter(kind__in=events.SIGNALS):
            if not self.world.received_signals[event.key]:
                yield f"I10: event {event.key} is stored as dispatched and no receiver got it"
        for delivery in WebhookDelivery.objects.filter(state="pending"):
            yield f"I4: delivery {delivery.pk} still waits: {delivery.message}"


def check_open_keys(bookings: list[Any]) -> Iterator[str]:
    """Check I7 by what the key stands for and not by the key."""
    open_bookings = Counter(
        (row.meeting_type_id, row.email_folded) for row in bookings if row.state in Booking.OPEN
    )
    for key, number in open_bookings.items():
        if number > 1:
            yield f"I7: {number} open bookings of {key}"
    for row in bookings:
        if row.state not in Booking.OPEN and (row.open_booking_key or row.slot_hold_key):
            yield f"I7: {show(row)} still holds a key"


def count_kind(recorded: list[Any], kind: str, *, of: int = 1) -> Counter[int]:
    return Counter(row[of] for row in recorded if row[0] == kind)


def show(booking: Any) -> str:
    return f"booking {booking.pk} ({booking.reference}) is {booking.state}/{booking.reason}"


def as_utc(text: str) -> datetime:
    moment = parse_instant(text)
    assert moment is not None
    return moment.astimezone(UTC)
