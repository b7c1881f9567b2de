"""The booking protocol as a transition system.

One attendee, two bookings (the second only after the first was refused), two workers, meetergo, a rival
visitor and a network. ``Booking`` is committed and survives a crash; ``Worker`` is lost in a crash.

Not modelled: bookings that wait for a confirmation, refusals other than a taken slot, and changes of an
appointment that is booked.

Quotations in docstrings are from the description of the protocol.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from tests.proofs.model.policies import (
    BEFORE_DEADLINE,
    CONFIRMED,
    LATER,
    NEEDS_STAFF,
    NEVER,
    NOT_BOOKED,
    PROTOCOL,
    RECEIVED,
    SENDING,
    SLOT_TAKEN,
    UNKNOWN,
    UNREACHABLE,
    Policy,
)

OPEN = frozenset({RECEIVED, SENDING, UNKNOWN, NEEDS_STAFF})
CLOSED = frozenset({SLOT_TAKEN, NOT_BOOKED, UNREACHABLE})

#: POSTs per booking. The protocol allows five; two are enough to reach every kind of failure.
MAX_ATTEMPTS = 2
MAX_BOOKINGS = 2
NONE = -1

# Activities of a worker. They are lost when it dies.
IDLE = "idle"
ABOUT_TO_SEND = "about to send"
WAITING = "waiting for the answer"
GOT_BOOKED = "holding the answer 'booked'"
GOT_SLOT_TAKEN = "holding the answer 'slot taken'"
GOT_NO_ANSWER = "without an answer"
NOT_SENT = "certain that nothing was sent"
READ_ONE = "holding a read with one match"
READ_SEVERAL = "holding a read with several matches"
READ_NONE = "holding a read without a match"
READ_INCOMPLETE = "holding an incomplete read"

READS = frozenset({READ_ONE, READ_SEVERAL, READ_NONE, READ_INCOMPLETE})

# Actors of transitions. A snapshot is quiescent when only EXTERNAL can still act.
PROGRAM, NETWORK, TIME, EXTERNAL = "program", "network", "time", "external"


@dataclass(frozen=True, kw_only=True)
class Environment:
    """The conditions under which a policy is explored."""

    policy: Policy = PROTOCOL
    shared: bool = False  # a group slot takes several attendees, an exclusive one takes the first
    references: bool = True  # lists return our references
    same_slot: bool = False  # the second booking is for the time of the first
    bounded: bool = True  # requests take effect before OUTCOME_DEADLINE, or never
    group_exists: bool = False  # the group has attendees before ours joins
    can_duplicate: bool = False  # the network may deliver a request twice

    def slot(self, booking: int) -> int:
        return 0 if self.same_slot else booking

    def __str__(self) -> str:
        words = [
            self.policy.name,
            "shared" if self.shared else "exclusive",
            "references" if self.references else "no references",
            "same slot again" if self.same_slot else "another slot",
            "in time" if self.bounded else "any delay",
            "duplicates" if self.can_duplicate else "",
        ]
        return ", ".join(filter(None, words))


class Booking(NamedTuple):
    """What is committed about a booking: its row, its attempts and its events."""

    state: str = RECEIVED
    attempts: int = 0
    open_attempts: int = 0  # attempts without a definite result
    age: int = BEFORE_DEADLINE  # time since the last attempt was sent
    first_absent_at: int = NEVER
    lease_owner: int = NONE  # the worker whose token the lease carries
    notified: str = ""  # the last state the attendee was notified of
    has_cancel: bool = False  # an open change cancels a surplus appointment
    is_with_staff: bool = False  # a surplus is left to staff


class Worker(NamedTuple):
    """A process, which can die at any moment."""

    activity: str = IDLE
    booking: int = NONE
    read_at: int = NEVER  # the age of the booking when the read began


class Appointment(NamedTuple):
    """An appointment at meetergo, and the booking that the mirror links to it."""

    booking: int  # the reference that its request carried
    bookings_before: int  # bookings that existed then; it cannot belong to a later one
    adopted_by: int = NONE  # the booking that has adopted it
    is_active: bool = True


class Snapshot(NamedTuple):
    """The state of the whole system."""

    bookings: tuple[Booking, ...] = ()
    workers: tuple[Worker, ...] = (Worker(), Worker())
    requests: tuple[tuple[int, int], ...] = ()  # in flight: (booking, worker that waits for the answer)
    appointments: tuple[Appointment, ...] = ()
    posts: tuple[int, ...] = (0, 0)  # how often each booking was sent
    is_duplicated: bool = False


class Transition(NamedTuple):
    actor: str
    label: str
    snapshot: Snapshot


def list_transitions(snapshot: Snapshot, environment: Environment) -> Iterator[Transition]:
    """Yield the transitions that are possible now; only one where its order with the others has no effect."""
    independent = find_independent_transition(snapshot, environment)
    for transition in [independent] if independent else list_all_transitions(snapshot, environment):
        yield Transition(transition.actor, transition.label, normalize(transition.snapshot))


def list_all_transitions(snapshot: Snapshot, environment: Environment) -> Iterator[Transition]:
    yield from list_attendee_transitions(snapshot, environment)
    for number, booking in enumerate(snapshot.bookings):
        yield from list_booking_transitions(snapshot, environment, number, booking)
    for worker_id, worker in enumerate(snapshot.workers):
        yield from list_worker_transitions(snapshot, environment, worker_id, worker)
    for request in set(snapshot.requests):
        yield from list_request_transitions(snapshot, environment, request)


def find_independent_transition(snapshot: Snapshot, environment: Environment) -> Transition | None:
    """Return a transition that no other one can observe or affect; None where there is no such one."""
    if not environment.policy.is_fenced:
        return None
    for worker_id, worker in enumerate(snapshot.workers):
        if worker.activity in WRITERS and snapshot.bookings[worker.booking].lease_owner != worker_id:
            return write_result(snapshot, environment, worker_id, worker)
    for number, booking in enumerate(snapshot.bookings):
        if booking.state == CONFIRMED != booking.notified:
            return dispatch_event(snapshot, number)
    return None


def normalize(snapshot: Snapshot) -> Snapshot:
    """Return the snapshot with its workers sorted, since they are interchangeable."""
    one, two = snapshot.workers
    if one <= two:
        return snapshot
    other = {0: 1, 1: 0, NONE: NONE}
    return snapshot._replace(
        workers=(two, one),
        bookings=tuple(
            booking._replace(lease_owner=other[booking.lease_owner]) for booking in snapshot.bookings
        ),
        requests=tuple(sorted((booking, other[receiver]) for booking, receiver in snapshot.requests)),
    )


# Snapshots with one change


def replace_item(items: tuple, number: int, item) -> tuple:
    return (*items[:number], item, *items[number + 1 :])


def update_booking(snapshot: Snapshot, number: int, **changes) -> Snapshot:
    return Snapshot(
        replace_item(snapshot.bookings, number, snapshot.bookings[number]._replace(**changes)), *snapshot[1:]
    )


def update_worker(snapshot: Snapshot, number: int, worker: Worker = Worker()) -> Snapshot:  # noqa: B008 - immutable
    return snapshot._replace(workers=replace_item(snapshot.workers, number, worker))


def set_activity(snapshot: Snapshot, number: int, activity: str) -> Snapshot:
    return update_worker(snapshot, number, snapshot.workers[number]._replace(activity=activity))


# The attendee


def list_attendee_transitions(snapshot: Snapshot, environment: Environment) -> Iterator[Transition]:
    """A form is accepted: "one transaction: both keys set, event row"."""
    number = len(snapshot.bookings)
    if number < MAX_BOOKINGS and can_submit(snapshot, environment.policy):
        label = "the attendee submits the form" if number == 0 else "the attendee chooses again"
        yield Transition(
            EXTERNAL,
            f"{label}: {get_name(number)} is received",
            snapshot._replace(bookings=(*snapshot.bookings, Booking())),
        )


def can_submit(snapshot: Snapshot, policy: Policy) -> bool:
    """Whether the keys allow another booking: "open_booking_key held by another booking: no row"."""
    if not snapshot.bookings:
        return True
    last = snapshot.bookings[-1]
    is_impatient = not policy.open_booking_key and last.state == UNKNOWN
    return is_impatient or (last.notified in CLOSED and last.state in CLOSED)


def get_name(number: int) -> str:
    return f"booking {number + 1}"


# Transitions of a committed row


def list_booking_transitions(
    snapshot: Snapshot, environment: Environment, number: int, booking: Booking
) -> Iterator[Transition]:
    yield from list_time_transitions(snapshot, environment, number, booking)
    yield from list_claim_transitions(snapshot, environment, number, booking)
    yield from list_match_transitions(snapshot, environment, number, booking)
    yield from list_surplus_transitions(snapshot, environment, number, booking)
    if booking.state not in OPEN and booking.notified != booking.state:
        yield dispatch_event(snapshot, number)


def dispatch_event(snapshot: Snapshot, number: int) -> Transition:
    """The event row of the new state is dispatched and notifies the attendee."""
    state = get_state(snapshot, number)
    return Transition(
        PROGRAM,
        f"the attendee is notified of {get_name(number)}: {state}",
        update_booking(snapshot, number, notified=state),
    )


def list_time_transitions(
    snapshot: Snapshot, environment: Environment, number: int, booking: Booking
) -> Iterator[Transition]:
    """Time passes. Where delays are bounded, no request is in flight after OUTCOME_DEADLINE."""
    waits = environment.bounded and has_request_in_flight(snapshot, number)
    if booking.state in {SENDING, UNKNOWN} and booking.age < LATER and not waits:
        label = "OUTCOME_DEADLINE is over" if booking.age == BEFORE_DEADLINE else "half a minute passes"
        yield Transition(
            TIME, f"{label} for {get_name(number)}", update_booking(snapshot, number, age=booking.age + 1)
        )


def has_request_in_flight(snapshot: Snapshot, number: int) -> bool:
    """Whether a request of this booking is in flight or about to be sent."""
    sending = any(worker[:2] == (ABOUT_TO_SEND, number) for worker in snapshot.workers)
    return sending or any(request[0] == number for request in snapshot.requests)


def list_claim_transitions(
    snapshot: Snapshot, environment: Environment, number: int, booking: Booking
) -> Iterator[Transition]:
    """A worker claims the row: "UPDATE … WHERE state=… AND (lease_until IS NULL OR lease_until<now)".

    A lease may expire at any moment, also while its worker lives, so its expiry needs no state.
    """
    if booking.state == SENDING and environment.policy.reclaims_leases:
        reclaimed = leave_attempt_open(snapshot, number, environment.policy.after_crash)
        yield Transition(
            PROGRAM,
            f"the scheduler finds the expired lease of {get_name(number)}: {get_state(reclaimed, number)}",
            reclaimed,
        )
    worker_id = find_idle_worker(snapshot)
    if worker_id == NONE:
        return
    if booking.state == RECEIVED and snapshot.posts[number] < MAX_ATTEMPTS:
        yield begin_attempt(snapshot, environment.policy, number, worker_id)
    if booking.state == UNKNOWN:
        yield from list_read_transitions(snapshot, environment, number, worker_id)


def find_idle_worker(snapshot: Snapshot) -> int:
    """Return the first idle worker, since idle workers are interchangeable; NONE where both are busy."""
    return next(
        (worker_id for worker_id, worker in enumerate(snapshot.workers) if worker.activity == IDLE), NONE
    )


def get_state(snapshot: Snapshot, number: int) -> str:
    return snapshot.bookings[number].state


def begin_attempt(snapshot: Snapshot, policy: Policy, number: int, worker_id: int) -> Transition:
    """From received to sending: "new BookingAttempt; outcome_deadline is set; commit, then send"."""
    claimed = update_booking(
        snapshot, number, lease_owner=worker_id, age=BEFORE_DEADLINE, first_absent_at=NEVER
    )
    if policy.commits_first:
        claimed = record_attempt(claimed, number)
    label = "commits 'sending'" if policy.commits_first else "commits nothing"
    return Transition(
        PROGRAM,
        f"a worker claims {get_name(number)} and {label}",
        update_worker(claimed, worker_id, Worker(ABOUT_TO_SEND, number)),
    )


def record_attempt(snapshot: Snapshot, number: int) -> Snapshot:
    booking = snapshot.bookings[number]
    return update_booking(
        snapshot,
        number,
        state=SENDING,
        attempts=booking.attempts + 1,
        open_attempts=booking.open_attempts + 1,
    )


# Reads and matches


def list_read_transitions(
    snapshot: Snapshot, environment: Environment, number: int, worker_id: int
) -> Iterator[Transition]:
    """A read, "complete when every page for every host that could hold it was read", or incomplete."""
    claimed = update_booking(snapshot, number, lease_owner=worker_id)
    age = snapshot.bookings[number].age
    matches = len(list_candidates(snapshot, environment, number))
    result = (READ_NONE, READ_ONE, READ_SEVERAL)[min(matches, 2)]
    for activity in (result, READ_INCOMPLETE):
        label = f"a worker reads for {get_name(number)} and is {activity}"
        yield Transition(PROGRAM, label, update_worker(claimed, worker_id, Worker(activity, number, age)))


def list_candidates(snapshot: Snapshot, environment: Environment, number: int) -> list[int]:
    """Matches by "exact reference", else "same type, same instant, same e-mail, in time, not claimed"."""
    matches = has_reference if environment.references else looks_alike
    return [
        index
        for index, appointment in enumerate(snapshot.appointments)
        if appointment.is_active and matches(environment, number, appointment)
    ]


def has_reference(environment: Environment, number: int, appointment: Appointment) -> bool:
    return appointment.booking == number


def looks_alike(environment: Environment, number: int, appointment: Appointment) -> bool:
    too_old = appointment.bookings_before <= number or (
        environment.group_exists and not environment.policy.dates_attendees
    )
    same = environment.slot(appointment.booking) == environment.slot(number)
    return same and not too_old and appointment.adopted_by in {NONE, number}


def list_match_transitions(
    snapshot: Snapshot, environment: Environment, number: int, booking: Booking
) -> Iterator[Transition]:
    """Sync and webhooks: "feed the same adopt(), which accepts a match in any state"."""
    if booking.state == CONFIRMED or not is_watched(snapshot, environment, number):
        return
    candidates = list_candidates(snapshot, environment, number)
    matches = [index for index in candidates if has_priority(snapshot, environment, number, index)]
    if len(matches) == 1 or (matches and environment.references):
        label = f"a sync or a webhook shows an appointment of {get_name(number)}, which is adopted"
        yield Transition(PROGRAM, label, adopt(snapshot, number, matches[0]))
    elif matches and not booking.is_with_staff:
        label = f"a sync shows several matches of {get_name(number)}, which is left to staff"
        yield Transition(PROGRAM, label, update_booking(snapshot, number, is_with_staff=True))


def is_watched(snapshot: Snapshot, environment: Environment, number: int) -> bool:
    """Whether matches are accepted: "closed ones without attendee stay watched"."""
    booking, policy = snapshot.bookings[number], environment.policy
    if booking.attempts == 0 or (booking.state in CLOSED and not policy.watches):
        return False
    return environment.references or booking.state not in CLOSED or policy.matches_lookalikes


def has_priority(snapshot: Snapshot, environment: Environment, number: int, index: int) -> bool:
    """Whether no newer booking that looks alike has the better claim to this appointment."""
    if environment.references or not environment.policy.newest_first:
        return True
    return not any(
        later.attempts
        and later.state != CONFIRMED
        and index in list_candidates(snapshot, environment, number + step)
        for step, later in enumerate(snapshot.bookings[number + 1 :], 1)
    )


def adopt(snapshot: Snapshot, number: int, index: int) -> Snapshot:
    """A match is adopted by "the only code that sets confirmed": idempotent, without a lease."""
    if snapshot.bookings[number].state == CONFIRMED:
        return snapshot
    adopted = replace_item(
        snapshot.appointments, index, snapshot.appointments[index]._replace(adopted_by=number)
    )
    snapshot = snapshot._replace(appointments=adopted)
    return release_lease(update_booking(snapshot, number, state=CONFIRMED, open_attempts=0), number)


def release_lease(snapshot: Snapshot, number: int) -> Snapshot:
    """The lease ends. Clocks that are no longer read are reset, so that equal snapshots compare equal."""
    snapshot = update_booking(snapshot, number, lease_owner=NONE)
    if get_state(snapshot, number) in {SENDING, UNKNOWN}:
        return snapshot
    return update_booking(snapshot, number, age=BEFORE_DEADLINE, first_absent_at=NEVER)


def list_surplus_transitions(
    snapshot: Snapshot, environment: Environment, number: int, booking: Booking
) -> Iterator[Transition]:
    """A surplus: "keep the one that was announced, cancel the rest; otherwise staff"."""
    if booking.state != CONFIRMED:
        return
    extra = find_surplus(snapshot, environment, number)
    if extra and not environment.references and not booking.is_with_staff:
        yield Transition(
            PROGRAM,
            f"a surplus of {get_name(number)} is left to staff",
            update_booking(snapshot, number, is_with_staff=True),
        )
    if extra and environment.references and not booking.has_cancel:
        yield Transition(
            PROGRAM,
            f"a cancellation of the surplus of {get_name(number)} is stored",
            update_booking(snapshot, number, has_cancel=True),
        )
    if extra and booking.has_cancel:
        cancelled = replace_item(
            snapshot.appointments, extra[0], snapshot.appointments[extra[0]]._replace(is_active=False)
        )
        yield Transition(
            NETWORK,
            f"the surplus of {get_name(number)} is cancelled",
            snapshot._replace(appointments=cancelled),
        )
    if booking.has_cancel and not extra:
        yield Transition(
            PROGRAM,
            f"a read shows one appointment of {get_name(number)}",
            update_booking(snapshot, number, has_cancel=False),
        )


def find_surplus(snapshot: Snapshot, environment: Environment, number: int) -> list[int]:
    return [
        index
        for index in list_candidates(snapshot, environment, number)
        if snapshot.appointments[index].adopted_by != number
    ]


# Workers


def list_worker_transitions(
    snapshot: Snapshot, environment: Environment, worker_id: int, worker: Worker
) -> Iterator[Transition]:
    if worker.activity == IDLE:
        return
    yield Transition(
        EXTERNAL,
        f"a worker dies, {worker.activity}",
        update_worker(disconnect(snapshot, worker_id), worker_id),
    )
    if worker.activity == ABOUT_TO_SEND:
        yield from list_send_transitions(snapshot, worker_id, worker)
    elif worker.activity != WAITING:
        yield write_result(snapshot, environment, worker_id, worker)
    if worker.activity in {WAITING, GOT_BOOKED, GOT_SLOT_TAKEN}:
        disconnected = set_activity(disconnect(snapshot, worker_id), worker_id, GOT_NO_ANSWER)
        yield Transition(
            NETWORK, f"the worker with {get_name(worker.booking)} gets no readable answer", disconnected
        )


def disconnect(snapshot: Snapshot, worker_id: int) -> Snapshot:
    requests = tuple(
        sorted(
            (booking, NONE if receiver == worker_id else receiver) for booking, receiver in snapshot.requests
        )
    )
    return snapshot._replace(requests=requests)


def list_send_transitions(snapshot: Snapshot, worker_id: int, worker: Worker) -> Iterator[Transition]:
    """The request leaves, or certainly does not (class N)."""
    number = worker.booking
    posts = replace_item(snapshot.posts, number, snapshot.posts[number] + 1)
    requests = tuple(sorted((*snapshot.requests, (number, worker_id))))
    sent = set_activity(snapshot._replace(posts=posts, requests=requests), worker_id, WAITING)
    yield Transition(PROGRAM, f"the worker sends the POST of {get_name(number)}", sent)
    yield Transition(
        NETWORK,
        f"the worker with {get_name(number)} cannot connect",
        set_activity(snapshot, worker_id, NOT_SENT),
    )


def write_result(snapshot: Snapshot, environment: Environment, worker_id: int, worker: Worker) -> Transition:
    """One transaction; "every write of a result repeats AND lease_token=mine"."""
    number, policy = worker.booking, environment.policy
    after = update_worker(snapshot, worker_id)
    if not policy.commits_first and worker.activity not in READS and get_state(after, number) == RECEIVED:
        after = record_attempt(after, number)
    holds = snapshot.bookings[number].lease_owner == worker_id
    if worker.activity in {GOT_BOOKED, READ_ONE}:
        after = write_match(after, environment, number)
    elif holds or not policy.is_fenced:
        after = WRITERS[worker.activity](after, policy, number, worker)
    else:
        return Transition(
            PROGRAM, f"a worker has lost the lease of {get_name(number)} and writes nothing", after
        )
    label = f"the worker {worker.activity} sets {get_name(number)} to {get_state(after, number)}"
    return Transition(PROGRAM, label, after)


def write_match(snapshot: Snapshot, environment: Environment, number: int) -> Snapshot:
    """A match counts however late it arrives, unless another booking has adopted it meanwhile."""
    matches = list_candidates(snapshot, environment, number)
    return adopt(snapshot, number, matches[0]) if matches else snapshot


def write_slot_taken(snapshot: Snapshot, policy: Policy, number: int, worker: Worker) -> Snapshot:
    """A taken slot closes the booking "while every earlier attempt is definite"; else it proves nothing."""
    if snapshot.bookings[number].open_attempts > 1:
        return leave_attempt_open(snapshot, number, policy.slot_taken_after_unknown)
    return end_attempt(snapshot, number, SLOT_TAKEN)


def write_unknown(snapshot: Snapshot, policy: Policy, number: int, worker: Worker) -> Snapshot:
    """Class U: "anything else, or lease expired: unknown"."""
    return leave_attempt_open(snapshot, number, policy.after_timeout)


def write_not_sent(snapshot: Snapshot, policy: Policy, number: int, worker: Worker) -> Snapshot:
    """Class N: "certainly never sent: received (bounded)", then closed(unreachable)."""
    booking = snapshot.bookings[number]
    if booking.attempts < MAX_ATTEMPTS:
        return end_attempt(snapshot, number, RECEIVED)
    return end_attempt(snapshot, number, UNREACHABLE if booking.open_attempts <= 1 else UNKNOWN)


def write_absent(snapshot: Snapshot, policy: Policy, number: int, worker: Worker) -> Snapshot:
    """No match: "two complete reads, the second after outcome_deadline: closed(not_booked)"."""
    booking = snapshot.bookings[number]
    if policy.is_absent(booking.first_absent_at, worker.read_at):
        return resolve_attempts(snapshot, number, policy.when_absent)
    first = booking.first_absent_at if booking.first_absent_at != NEVER else worker.read_at
    return release_lease(update_booking(snapshot, number, state=UNKNOWN, first_absent_at=first), number)


def resolve_attempts(snapshot: Snapshot, number: int, state: str) -> Snapshot:
    """All attempts count as absent. A booking with all its attempts used is closed."""
    if state == RECEIVED and snapshot.bookings[number].attempts >= MAX_ATTEMPTS:
        state = NOT_BOOKED
    return release_lease(update_booking(snapshot, number, state=state, open_attempts=0), number)


def write_incomplete(snapshot: Snapshot, policy: Policy, number: int, worker: Worker) -> Snapshot:
    """Incomplete: "reads stay incomplete after outcome_deadline: unknown(needs_staff)"."""
    is_over = worker.read_at == LATER
    return release_lease(update_booking(snapshot, number, state=NEEDS_STAFF if is_over else UNKNOWN), number)


def write_several(snapshot: Snapshot, policy: Policy, number: int, worker: Worker) -> Snapshot:
    """Several matches: "two candidates: unknown(needs_staff)"."""
    return release_lease(update_booking(snapshot, number, state=NEEDS_STAFF), number)


WRITERS = {
    GOT_SLOT_TAKEN: write_slot_taken,
    GOT_NO_ANSWER: write_unknown,
    NOT_SENT: write_not_sent,
    READ_NONE: write_absent,
    READ_INCOMPLETE: write_incomplete,
    READ_SEVERAL: write_several,
}


def end_attempt(snapshot: Snapshot, number: int, state: str) -> Snapshot:
    """The attempt certainly had no effect."""
    open_attempts = max(snapshot.bookings[number].open_attempts - 1, 0)
    return release_lease(update_booking(snapshot, number, state=state, open_attempts=open_attempts), number)


def leave_attempt_open(snapshot: Snapshot, number: int, state: str) -> Snapshot:
    """The attempt may have had an effect. A policy that sends again stops after MAX_ATTEMPTS."""
    if state == RECEIVED and snapshot.bookings[number].attempts >= MAX_ATTEMPTS:
        state = UNKNOWN
    return release_lease(update_booking(snapshot, number, state=state), number)


# The network and meetergo


def list_request_transitions(
    snapshot: Snapshot, environment: Environment, request: tuple[int, int]
) -> Iterator[Transition]:
    """A request in flight is lost, duplicated, or arrives."""
    number = request[0]
    rest = list(snapshot.requests)
    rest.remove(request)
    lost = snapshot._replace(requests=tuple(rest))
    yield Transition(NETWORK, f"a request of {get_name(number)} is lost by the network", lost)
    yield from list_arrival_transitions(lost, environment, request)
    if environment.can_duplicate and not snapshot.is_duplicated:
        twice = tuple(sorted((*snapshot.requests, (number, NONE))))
        label = f"a request of {get_name(number)} is duplicated by the network"
        yield Transition(EXTERNAL, label, snapshot._replace(requests=twice, is_duplicated=True))


def list_arrival_transitions(
    snapshot: Snapshot, environment: Environment, request: tuple[int, int]
) -> Iterator[Transition]:
    """meetergo checks whether the slot is free and books it, in one step.

    A rival may take the slot and free it again at any moment, so both answers are always possible and the
    rival needs no state.
    """
    number, receiver = request
    taken = deliver_answer(snapshot, receiver, GOT_SLOT_TAKEN)
    if environment.shared or not is_held_by_attendee(snapshot, environment, environment.slot(number)):
        made = (*snapshot.appointments, Appointment(number, len(snapshot.bookings)))
        booked = deliver_answer(snapshot._replace(appointments=made), receiver, GOT_BOOKED)
        yield Transition(NETWORK, f"meetergo books {get_name(number)}", booked)
        yield Transition(NETWORK, f"a rival has taken the slot of {get_name(number)}", taken)
    else:
        yield Transition(NETWORK, f"the attendee's own appointment has the slot of {get_name(number)}", taken)


def deliver_answer(snapshot: Snapshot, receiver: int, answer: str) -> Snapshot:
    return snapshot if receiver == NONE else set_activity(snapshot, receiver, answer)


def is_held_by_attendee(snapshot: Snapshot, environment: Environment, slot: int) -> bool:
    return any(
        environment.slot(appointment.booking) == slot and appointment.is_active
        for appointment in snapshot.appointments
    )


# Fault points

VOLATILE_POINTS = {
    ABOUT_TO_SEND: "K3",
    WAITING: "K4",
    GOT_BOOKED: "K5 K6",
    GOT_SLOT_TAKEN: "K5 K6",
    GOT_NO_ANSWER: "K5 K6",
    READ_NONE: "K8",
    READ_ONE: "K8",
    READ_INCOMPLETE: "K8",
}


def list_fault_points(snapshot: Snapshot) -> set[str]:
    """Return the fault points of the protocol (K1 to K10) at which this snapshot is."""
    fault_points = " ".join(VOLATILE_POINTS.get(worker.activity, "") for worker in snapshot.workers).split()
    fault_points += [] if snapshot.bookings else ["K1"]
    for booking in snapshot.bookings:
        fault_points += ["K2"] if booking.state == RECEIVED else []
        fault_points += ["K7"] if booking.state == CONFIRMED != booking.notified else []
        fault_points += ["K9"] if booking.first_absent_at != NEVER else []
        fault_points += ["K10"] if booking.has_cancel else []
    return set(fault_points)
