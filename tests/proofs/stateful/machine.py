"""The rules of the state machine: visitors, rivals, hosts, webhooks, the clock and kill -9, in any order."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from django_meetergo.models import Appointment, Attendee, Booking
from django_meetergo.sandbox import changes
from django_meetergo.sandbox.control import PROVISIONAL_ACTIONS
from django_meetergo.sandbox.scenarios import occupy_slot
from django_meetergo.services import scheduler
from django_meetergo.services.booking.book import AttendeeData, BookingRequest, submit_request
from django_meetergo.services.changes.requests import cancel_appointment, reschedule_appointment
from django_meetergo.services.sync.appointments import sync_appointments
from django_meetergo.services.webhooks.events import REREAD_EVENTS
from tests.proofs.stateful.clock import BEGINNING
from tests.proofs.stateful.oracle import Oracle
from tests.proofs.stateful.world import BOOK, CONNECTION, ENDPOINT, Kill, Stall, World

PEOPLE = ("ada", "ben", "cleo")
TYPES = ("intro-call", "group-class", "checkup", "second-opinion", "next-therapist")
#: 10:00 and 14:00 in Berlin on Monday, Wednesday and Friday.
STARTS = tuple(BEGINNING.replace(hour=hour) + timedelta(days=days) for days in (0, 2, 4) for hour in (8, 12))

CANCEL = ("POST /v4/appointment/{id}/cancel", "POST /booking/confirm/cancel/{id}/{secret}")
MOVE = ("POST /v4/appointment/{id}/reschedule", "POST /booking/confirm/reschedule/")
ONE = "GET /v4/appointment/{id}"
LIST = "GET /v4/appointment/paginated"
PROVISIONAL = "GET /v4/provisional-booking/paginated"

#: A 429 means "not carried out"; the design relies on that, so no write is carried out and then answered 429.
TRUSTED_STATUSES = (429,)
#: Seconds by which a write may be carried out late: within OUTCOME_DEADLINE, and long after it.
WITHIN_DEADLINE, AFTER_DEADLINE = (1.0, 20.0, 100.0), (400.0, 4000.0)


def write_faults() -> st.SearchStrategy[tuple[str, dict[str, Any]]]:
    """Return the ways in which a write may fail."""
    plain = [(kind, {}) for kind in ("drop_before", "drop_after", "garbage", "empty", "occupy_slot", "cut")]
    before = [("status_before", {"status": status}) for status in (500, 503, 429)]
    after = [
        ("status_after", {"status": status}) for status in (500, 503, 429) if status not in TRUSTED_STATUSES
    ]
    delayed = [("delayed_apply", {"seconds": seconds}) for seconds in (*WITHIN_DEADLINE, *AFTER_DEADLINE)]
    return st.sampled_from([*plain, *before, *after, *delayed])


READ_FAULTS = (
    ("status_before", {"status": 500}),
    ("status_before", {"status": 503, "times": 4}),
    ("drop_before", {"times": 4}),
    ("garbage", {}),
    ("status_before", {"status": 429, "retry_after": "3"}),
)
LIST_FAULTS = (*READ_FAULTS, ("list_lag", {"seconds": 900.0, "times": 4}))

#: Steps between two rests; a rest is expensive.
STEPS_BETWEEN_RESTS = 15

which = st.integers(0, 11)


def accidents(*, rate: int = 3) -> st.SearchStrategy[Kill | Stall | None]:
    """Return what happens to the process meanwhile: mostly nothing, else kill -9 at a point, or a stall."""
    statements = st.builds(Kill, st.just("statement"), st.integers(1, 40))
    calls = st.builds(Kill, st.sampled_from(["before_send", "after_send"]), st.integers(1, 3))
    stalls = st.builds(Stall, st.sampled_from(["before", "after"]), st.sampled_from([1, 2, 2, 6]))
    return st.one_of(*[st.none()] * rate, statements, calls, stalls)


people, slugs, starts = st.sampled_from(PEOPLE), st.sampled_from(TYPES), st.sampled_from(STARTS)


def choose(rows: Any, number: int) -> Any:
    """Return one of some rows, or None when there is none."""
    rows = list(rows)
    return rows[number % len(rows)] if rows else None


class Clinic(RuleBasedStateMachine):
    """A site, the service and everybody who uses them."""

    world: World  # set by the test that runs the machine

    def __init__(self) -> None:
        super().__init__()
        self.world.begin()
        self.oracle = Oracle(self.world)
        self.forms: list[tuple[BookingRequest, bool]] = []
        self.steps_since_rest = 0

    @property
    def now(self) -> datetime:
        return self.world.kit.now()

    # Visitors

    @initialize(
        hides_references=st.sampled_from([False, False, True]),
        bookings=st.lists(st.tuples(st.sampled_from(TYPES), st.sampled_from(STARTS)), max_size=3),
    )
    def open(self, hides_references, bookings):
        """A few have booked. One account in three does not return references, so the weaker rules apply."""
        self.world.sandbox.configure(hide_answers=hides_references)
        for person, (slug, start) in zip(PEOPLE, bookings, strict=False):
            self.submit(self.fill_in(person, slug, start))
        self.world.act(scheduler.run_due, now=self.now, periodic=False)

    def fill_in(self, person, slug, start, *, send=True, **more):
        attendee = AttendeeData(
            email=f"{person}@example.com", first_name=person.title(), timezone="Europe/Berlin"
        )
        request = BookingRequest(
            meeting_type=self.world.kit.meeting_type(slug),
            start=start,
            attendee=attendee,
            idempotency_key=uuid4().hex,
            **more,
        )
        self.forms.append((request, send))
        return request, send

    def submit(self, form, fault=None, accident=None):
        if fault:
            self.world.arm(BOOK, fault[0], **fault[1])
        request, send = form
        client = self.world.kit.client()
        self.world.act(submit_request, accident, request=request, client=client, now=self.now, send=send)

    @rule(person=people, slug=slugs, start=starts, send=st.integers(0, 5).map(bool), accident=accidents())
    def book(self, person, slug, start, send, accident):
        """Somebody fills in the form."""
        self.submit(self.fill_in(person, slug, start, send=send), accident=accident)

    @rule(
        person=people,
        slug=slugs,
        start=starts,
        consent=st.booleans(),
        fault=write_faults(),
        accident=accidents(),
    )
    def book_in_bad_times(self, person, slug, start, consent, fault, accident):
        """The same while meetergo fails."""
        form = self.fill_in(person, slug, start, defer_consent=consent)
        self.submit(form, fault, accident)

    @precondition(lambda self: self.forms)
    @rule(number=which, accident=accidents())
    def submit_again(self, number, accident):
        """The same form once more: a double click, the back button."""
        self.submit(choose(self.forms, number), accident=accident)

    @precondition(lambda self: Booking.objects.filter(state="pending").exists())
    @rule(number=which, start=starts, fault=st.none() | write_faults(), accident=accidents())
    def choose_again(self, number, start, fault, accident):
        """The attendee of a pending booking chooses another slot."""
        first = choose(Booking.objects.filter(state="pending"), number)
        slug, person = first.meeting_type.slug, first.email.partition("@")[0]
        self.submit(self.fill_in(person, slug, start, replaces=first), fault, accident)

    @precondition(lambda self: Appointment.objects.exists())
    @rule(
        number=which,
        as_attendee=st.booleans(),
        everybody=st.booleans(),
        fault=st.none() | write_faults(),
        accident=accidents(),
    )
    def cancel(self, number, as_attendee, everybody, fault, accident):
        """The host or an attendee cancels; in a group, mostly one place is given up."""
        self.change(
            cancel_appointment, CANCEL, number, as_attendee, fault, accident,
            cancel_all=everybody and not as_attendee,
        )  # fmt: skip

    @precondition(lambda self: Appointment.objects.exists())
    @rule(
        number=which,
        start=starts,
        as_attendee=st.booleans(),
        fault=st.none() | write_faults(),
        accident=accidents(),
    )
    def move(self, number, start, as_attendee, fault, accident):
        """The host or an attendee reschedules an appointment."""
        self.change(reschedule_appointment, MOVE, number, as_attendee, fault, accident, start=start)

    def change(self, do, routes, number, as_attendee, fault, accident, **how):
        attendee = choose(Attendee.objects.select_related("appointment__meeting_type"), number)
        if fault:
            self.world.arm(routes[as_attendee], fault[0], **fault[1])
        self.world.act(
            do,
            accident,
            appointment=attendee.appointment,
            attendee=attendee,
            by="attendee" if as_attendee else "host",
            client=self.world.kit.client(),
            now=self.now,
            **how,
        )

    # Others, at the service

    @rule(slug=st.sampled_from(TYPES), start=st.sampled_from(STARTS))
    def rival(self, slug, start):
        """Somebody books a slot elsewhere that the site may still show as free."""
        hosts = self.world.kit.meeting_type(slug).hosts.values_list("remote_id", flat=True)
        if start > self.now:
            occupy_slot(self.world.sandbox.state, min(hosts), start)

    @precondition(lambda self: self.world.upcoming())
    @rule(number=which, start=starts, what=st.sampled_from(["move", "cancel", "leave", "double", "delete"]))
    def at_meetergo_itself(self, number, start, what):
        """A change in meetergo's dashboard: reschedule, cancel, one seat removed, doubled, deleted."""
        remote = choose(self.world.upcoming(), number)
        state = self.world.sandbox.state
        kind = state.meeting_types[remote.meeting_type_id]
        if what == "move":
            self.world.call_service(changes.move, state, remote, start)
        elif what == "delete":
            self.world.delete_appointment(remote)
        elif what == "double":
            # Without the exact reference a surplus appointment is not cancelled automatically.
            if not kind.is_group and not self.oracle.hides_references:
                self.world.double(remote)
        else:
            person = choose(remote.attendees, number)
            self.world.call_service(
                changes.cancel, state, remote, source="host", by=remote.host_ids[0],
                attendee_id=person and person.id, everyone=what == "cancel",
            )  # fmt: skip

    @precondition(lambda self: self.world.waiting())
    @rule(number=which, answer=st.sampled_from(["confirm", "approve", "expire", "decline"]))
    def answer_provisional(self, number, answer):
        """A provisional booking is confirmed, approved or declined, or it expires."""
        waiting = choose(self.world.waiting(), number)
        self.world.call_service(PROVISIONAL_ACTIONS[answer], self.world.sandbox.state, waiting.id)

    # Webhooks
    @rule(duplicate=st.integers(0, 2), shuffle=st.booleans(), accident=accidents(rate=6))
    def deliver(self, duplicate, shuffle, accident):
        """Webhooks arrive, perhaps twice, in any order, or never."""
        if not duplicate:
            self.world.sandbox.deliveries.drop_pending()
        self.world.act(self.world.kit.deliver, accident, duplicate=duplicate, shuffle=shuffle)

    @rule(number=which, event=st.sampled_from(REREAD_EVENTS), start=starts)
    def forge(self, number, event, start):
        """A forged delivery about a mirrored appointment or an invented one."""
        known = choose(Appointment.objects.all(), number)
        body = {
            "webhookType": event,
            "id": known.remote_id if known and number else f"forged-{number}",
            "start": start.isoformat(),
            "isCancelled": event == "booking_cancelled",
        }
        self.world.act(self.world.deliver_to_site, endpoint=ENDPOINT, body=json.dumps(body).encode())

    # Workers

    @rule(seconds=st.sampled_from([0, 3, 31, 61]), accident=accidents())
    def tick(self, seconds, accident):
        """The clock advances a little and the workers run."""
        self.world.travel(seconds)
        self.world.act(scheduler.run_due, accident, now=self.now, periodic=False)

    @rule(minutes=st.sampled_from([2, 6, 20, 61, 300]), accident=accidents())
    def let_time_pass(self, minutes, accident):
        """A long pause, then one run with all periodic work."""
        self.world.travel(minutes * 60)
        self.world.act(scheduler.run_due, accident, now=self.now)

    @rule(
        kind=st.sampled_from(["near", "near", "full"]),
        fault=st.none() | st.sampled_from(LIST_FAULTS),
        accident=accidents(),
    )
    def sync(self, kind, fault, accident):
        """A sync of all lists, perhaps interrupted or with outdated lists."""
        if fault:
            self.world.arm(LIST, fault[0], **fault[1])
        client = self.world.kit.client("sync")
        self.world.act(
            sync_appointments,
            accident,
            connection=CONNECTION,
            client=client,
            now=self.now,
            kind=kind,
        )

    # Failures of the next call

    @rule(route=st.sampled_from([ONE, LIST, PROVISIONAL]), fault=st.sampled_from(READ_FAULTS))
    def reads_will_fail(self, route, fault):
        """The next reads of a route fail."""
        self.world.arm(route, fault[0], **fault[1])

    @rule(what=st.sampled_from(["cache", "receivers", "key"]))
    def something_is_lost(self, what):
        """The cache is emptied, the site's receivers fail for a while, or the key expires or is renewed."""
        if what == "cache":
            self.world.kit.clear_availability()
        elif what == "receivers":
            self.world.failing_receivers = 2
        elif self.world.key_works:
            self.world.expire_key()
        else:
            self.world.renew_key()

    # Rest

    @precondition(lambda self: self.steps_since_rest >= STEPS_BETWEEN_RESTS)
    @rule()
    def rest(self):
        """Everything is delivered, carried out and reconciled; then both sides are equal."""
        self.steps_since_rest = 0
        self.world.finish_everything()
        self.assert_no_violations([*self.oracle.check_deliveries_took_effect(), *self.oracle.check_step()])
        self.world.sync_all()
        self.assert_no_violations([*self.oracle.check_step(), *self.oracle.check_rest()])

    @invariant()
    def holds(self):
        self.steps_since_rest += 1
        self.assert_no_violations(self.oracle.check_step())

    def teardown(self):
        self.rest()

    def assert_no_violations(self, violations):
        assert not violations, "\n".join(["", *violations])


def shorten(*kept: str) -> type[Clinic]:
    """Return a machine with only these rules and ``rest``, to find one defect quickly."""
    rules = [name for name, value in vars(Clinic).items() if hasattr(value, "hypothesis_stateful_rule")]
    return type("Shortened", (Clinic,), {name: None for name in rules if name not in {*kept, "rest"}})
