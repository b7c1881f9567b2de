"""The booking protocol as a small world, and everything that can happen in it next.

One attendee, two wishes (the second only once the first was told "no"), two workers, meetergo, a rival and a
network. What is in ``Wish`` is committed and survives a crash; what is in ``Worker`` does not.

Left out: bookings that wait for somebody's yes, refusals other than a lost slot, and what people do to an
appointment that stands.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from tests.proofs.model.policies import (
    A_GAP_LATER,
    CONFIRMED,
    NEEDS_STAFF,
    NEVER,
    NOT_BOOKED,
    OURS,
    RECEIVED,
    SENDING,
    SLOT_TAKEN,
    UNKNOWN,
    UNREACHABLE,
    WORKING,
    Policy,
)

OPEN = frozenset({RECEIVED, SENDING, UNKNOWN, NEEDS_STAFF})
CLOSED = frozenset({SLOT_TAKEN, NOT_BOOKED, UNREACHABLE})

#: POSTs that one wish may cost. The protocol allows five; the second shows all that can go wrong.
ATTEMPTS = 2
WISHES = 2
NOBODY = -1

# What a worker is doing, which nobody remembers when it dies.
IDLE = "idle"
ABOUT_TO_SEND = "about to send"
WAITING = "waiting for the answer"
HEARD_BOOKED = "holding the answer 'booked'"
HEARD_LOST = "holding the answer 'slot lost'"
GAVE_UP = "sure of nothing"
NEVER_SENT = "sure that nothing was sent"
SAW_SOMETHING = "holding a read that shows it"
SAW_SEVERAL = "holding a read that shows several"
SAW_NOTHING = "holding a read that shows nothing"
SAW_A_PART = "holding an incomplete read"

LOOKED = frozenset({SAW_SOMETHING, SAW_SEVERAL, SAW_NOTHING, SAW_A_PART})

# Who moves. What the first three could still do keeps the world from being quiet.
PROGRAM, NETWORK, TIME, OTHERS = "program", "network", "time", "others"


@dataclass(frozen=True, kw_only=True)
class Setting:
    """The world a policy has to live in."""

    policy: Policy = OURS
    shared: bool = False  # a group slot takes several people, an exclusive one takes the first
    references: bool = True  # whether lists give our references back
    same_slot: bool = False  # whether the second wish is for the time of the first
    bounded: bool = True  # whether requests take effect, if at all, before SETTLE is over
    begun: bool = False  # whether the group exists, with other people in it, before the attendee joins
    repeats: bool = False  # whether something on the way may deliver a request twice

    def slot(self, wish: int) -> int:
        return 0 if self.same_slot else wish

    def __str__(self) -> str:
        words = [
            self.policy.name,
            "shared" if self.shared else "exclusive",
            "references" if self.references else "no markers",
            "same slot again" if self.same_slot else "another slot",
            "in time" if self.bounded else "any delay",
            "repeats" if self.repeats else "",
        ]
        return ", ".join(filter(None, words))


class Wish(NamedTuple):
    """A booking's row, its attempts and its events: all that is on disk."""

    state: str = RECEIVED
    attempts: int = 0
    unclear: int = 0  # attempts that have not ended definitely
    age: int = WORKING  # how long ago the last one was sent
    first_negative: int = NEVER
    holder: int = NOBODY  # whose token the lease carries
    told: str = ""  # what the attendee was last told
    change: bool = False  # an open change that cancels a surplus
    asked: bool = False  # a person has been asked to look at a surplus


class Worker(NamedTuple):
    """A process that can die at any moment."""

    doing: str = IDLE
    wish: int = NOBODY
    when: int = NEVER  # the age of the wish when its read began


class Appointment(NamedTuple):
    """What meetergo holds, with what our mirror says about it."""

    wish: int  # the marker that its request carried
    born: int  # how many wishes there were: older ones are no candidates for a later wish
    owner: int = NOBODY  # the wish that has adopted it
    stands: bool = True


class World(NamedTuple):
    """Everything at one moment."""

    wishes: tuple[Wish, ...] = ()
    workers: tuple[Worker, ...] = (Worker(), Worker())
    requests: tuple[tuple[int, int], ...] = ()  # (wish, worker that still listens) on their way
    appointments: tuple[Appointment, ...] = ()
    posts: tuple[int, ...] = (0, 0)  # how often each wish was sent
    copied: bool = False


class Move(NamedTuple):
    who: str
    says: str
    world: World


def moves(world: World, setting: Setting) -> Iterator[Move]:
    """Everything that can happen next; one move alone where its order with the others cannot matter."""
    alone = find_alone(world, setting)
    for move in [alone] if alone else all_moves(world, setting):
        yield Move(move.who, move.says, in_order(move.world))


def all_moves(world: World, setting: Setting) -> Iterator[Move]:
    yield from attendee_moves(world, setting)
    for number, wish in enumerate(world.wishes):
        yield from wish_moves(world, setting, number, wish)
    for hand, worker in enumerate(world.workers):
        yield from worker_moves(world, setting, hand, worker)
    for request in set(world.requests):
        yield from request_moves(world, setting, request)


def find_alone(world: World, setting: Setting) -> Move | None:
    """What a fenced program does unseen and undisturbed, so that now is as good as later."""
    if not setting.policy.fenced:
        return None
    for hand, worker in enumerate(world.workers):
        if worker.doing in WRITERS and world.wishes[worker.wish].holder != hand:
            return write_down(world, setting, hand, worker)
    for number, wish in enumerate(world.wishes):
        if wish.state == CONFIRMED != wish.told:
            return tell(world, number)
    return None


def in_order(world: World) -> World:
    """Workers have no names: two worlds that differ in which one does what are the same."""
    one, two = world.workers
    if one <= two:
        return world
    other = {0: 1, 1: 0, NOBODY: NOBODY}
    return world._replace(
        workers=(two, one),
        wishes=tuple(wish._replace(holder=other[wish.holder]) for wish in world.wishes),
        requests=tuple(sorted((wish, other[ear]) for wish, ear in world.requests)),
    )


# How a world with one thing changed is written


def put(items: tuple, number: int, item) -> tuple:
    return (*items[:number], item, *items[number + 1 :])


def with_wish(world: World, number: int, **changes) -> World:
    return World(put(world.wishes, number, world.wishes[number]._replace(**changes)), *world[1:])


def with_worker(world: World, number: int, worker: Worker = Worker()) -> World:  # noqa: B008 - immutable
    return world._replace(workers=put(world.workers, number, worker))


def doing(world: World, number: int, what: str) -> World:
    return with_worker(world, number, world.workers[number]._replace(doing=what))


# The attendee


def attendee_moves(world: World, setting: Setting) -> Iterator[Move]:
    """A form accepted: "one transaction: open_booking_key, slot_key set, event row"."""
    number = len(world.wishes)
    if number < WISHES and may_choose(world, setting.policy):
        says = "the attendee submits the form" if number == 0 else "the attendee chooses again"
        yield Move(
            OTHERS, f"{says}: {name(number)} is received", world._replace(wishes=(*world.wishes, Wish()))
        )


def may_choose(world: World, policy: Policy) -> bool:
    """Whether the keys allow it: "open_booking_key held by another booking: no row"."""
    if not world.wishes:
        return True
    last = world.wishes[-1]
    tired = not policy.open_booking_key and last.state == UNKNOWN
    return tired or (last.told in CLOSED and last.state in CLOSED)


def name(number: int) -> str:
    return f"wish {number + 1}"


# What happens to a row without any worker's memory being involved


def wish_moves(world: World, setting: Setting, number: int, wish: Wish) -> Iterator[Move]:
    yield from time_moves(world, setting, number, wish)
    yield from claim_moves(world, setting, number, wish)
    yield from watch_moves(world, setting, number, wish)
    yield from surplus_moves(world, setting, number, wish)
    if wish.state not in OPEN and wish.told != wish.state:
        yield tell(world, number)


def tell(world: World, number: int) -> Move:
    """The event row of the transition is dispatched, by whoever finds it."""
    state = state_of(world, number)
    return Move(
        PROGRAM, f"the attendee is told of {name(number)}: {state}", with_wish(world, number, told=state)
    )


def time_moves(world: World, setting: Setting, number: int, wish: Wish) -> Iterator[Move]:
    """SETTLE is counted from sent_at; the provider is done by then, where its delays are bounded."""
    waits = setting.bounded and may_land(world, number)
    if wish.state in {SENDING, UNKNOWN} and wish.age < A_GAP_LATER and not waits:
        says = "SETTLE is over" if wish.age == WORKING else "half a minute passes"
        yield Move(TIME, f"{says} for {name(number)}", with_wish(world, number, age=wish.age + 1))


def may_land(world: World, number: int) -> bool:
    """Whether a request of this wish is on its way, or about to be."""
    sending = any(worker[:2] == (ABOUT_TO_SEND, number) for worker in world.workers)
    return sending or any(request[0] == number for request in world.requests)


def claim_moves(world: World, setting: Setting, number: int, wish: Wish) -> Iterator[Move]:
    """Claiming: "UPDATE … SET lease_token=new WHERE state=… AND (lease_until IS NULL OR lease_until<now)".

    A lease may lapse at any moment, even under a worker that lives, so nothing needs to remember that it has.
    """
    if wish.state == SENDING and setting.policy.sweeps:
        swept = end_unclear(world, number, setting.policy.after_crash)
        yield Move(
            PROGRAM, f"a sweeper finds the lease of {name(number)} lapsed: {state_of(swept, number)}", swept
        )
    hand = find_idle(world)
    if hand == NOBODY:
        return
    if wish.state == RECEIVED and world.posts[number] < ATTEMPTS:
        yield begin_attempt(world, setting.policy, number, hand)
    if wish.state == UNKNOWN:
        yield from look(world, setting, number, hand)


def find_idle(world: World) -> int:
    """The first free pair of hands: of two idle workers it does not matter which one begins."""
    return next((hand for hand, worker in enumerate(world.workers) if worker.doing == IDLE), NOBODY)


def state_of(world: World, number: int) -> str:
    return world.wishes[number].state


def begin_attempt(world: World, policy: Policy, number: int, hand: int) -> Move:
    """From received to sending: "new BookingAttempt; settle_at = sent_at + SETTLE; commit, then send"."""
    claimed = with_wish(world, number, holder=hand, age=WORKING, first_negative=NEVER)
    if policy.commit_first:
        claimed = note_attempt(claimed, number)
    says = "commits 'sending'" if policy.commit_first else "writes nothing down"
    return Move(
        PROGRAM,
        f"a worker claims {name(number)} and {says}",
        with_worker(claimed, hand, Worker(ABOUT_TO_SEND, number)),
    )


def note_attempt(world: World, number: int) -> World:
    wish = world.wishes[number]
    return with_wish(world, number, state=SENDING, attempts=wish.attempts + 1, unclear=wish.unclear + 1)


# Looking, and what is seen


def look(world: World, setting: Setting, number: int, hand: int) -> Iterator[Move]:
    """A read, "complete when every page for every host that could hold it was read", or not."""
    claimed = with_wish(world, number, holder=hand)
    age = world.wishes[number].age
    found = len(candidates(world, setting, number))
    seen = (SAW_NOTHING, SAW_SOMETHING, SAW_SEVERAL)[min(found, 2)]
    for what in (seen, SAW_A_PART):
        says = f"a worker looks for {name(number)} and is {what}"
        yield Move(PROGRAM, says, with_worker(claimed, hand, Worker(what, number, age)))


def candidates(world: World, setting: Setting, number: int) -> list[int]:
    """The match: "exact marker", else "same type, same instant, same e-mail, in time, not claimed"."""
    matches = has_marker if setting.references else looks_alike
    return [
        place
        for place, item in enumerate(world.appointments)
        if item.stands and matches(setting, number, item)
    ]


def has_marker(setting: Setting, number: int, item: Appointment) -> bool:
    return item.wish == number


def looks_alike(setting: Setting, number: int, item: Appointment) -> bool:
    too_old = item.born <= number or (setting.begun and not setting.policy.dates_people)
    same = setting.slot(item.wish) == setting.slot(number)
    return same and not too_old and item.owner in {NOBODY, number}


def watch_moves(world: World, setting: Setting, number: int, wish: Wish) -> Iterator[Move]:
    """The watch: "webhooks and ordinary sync feed the same adopt(), which accepts evidence in any state"."""
    if wish.state == CONFIRMED or not may_watch(world, setting, number):
        return
    places = candidates(world, setting, number)
    found = [place for place in places if goes_first(world, setting, number, place)]
    if len(found) == 1 or (found and setting.references):
        says = f"a sync or a webhook shows an appointment of {name(number)}, which is adopted"
        yield Move(PROGRAM, says, adopt(world, number, found[0]))
    elif found and not wish.asked:
        says = f"a sync shows several that could be {name(number)}: a person is asked"
        yield Move(PROGRAM, says, with_wish(world, number, asked=True))


def may_watch(world: World, setting: Setting, number: int) -> bool:
    """Whether evidence is looked for: "closed ones without attendee stay watched"."""
    wish, policy = world.wishes[number], setting.policy
    if wish.attempts == 0 or (wish.state in CLOSED and not policy.watches):
        return False
    return setting.references or wish.state not in CLOSED or policy.watches_by_likeness


def goes_first(world: World, setting: Setting, number: int, place: int) -> bool:
    """Where two wishes look alike, what was made since the younger was sent is the younger one's."""
    if setting.references or not setting.policy.youngest_first:
        return True
    return not any(
        later.attempts and later.state != CONFIRMED and place in candidates(world, setting, number + step)
        for step, later in enumerate(world.wishes[number + 1 :], 1)
    )


def adopt(world: World, number: int, place: int) -> World:
    """Evidence is taken by "the only code that sets confirmed": idempotent, and no lease is needed."""
    if world.wishes[number].state == CONFIRMED:
        return world
    tied = put(world.appointments, place, world.appointments[place]._replace(owner=number))
    world = world._replace(appointments=tied)
    return release(with_wish(world, number, state=CONFIRMED, unclear=0), number)


def release(world: World, number: int) -> World:
    """The lease ends, and so does a clock that nobody will read again."""
    world = with_wish(world, number, holder=NOBODY)
    if state_of(world, number) in {SENDING, UNKNOWN}:
        return world
    return with_wish(world, number, age=WORKING, first_negative=NEVER)


def surplus_moves(world: World, setting: Setting, number: int, wish: Wish) -> Iterator[Move]:
    """A surplus: "keep the one that was announced, cancel the rest; otherwise a person"."""
    if wish.state != CONFIRMED:
        return
    extra = find_surplus(world, setting, number)
    if extra and not setting.references and not wish.asked:
        yield Move(
            PROGRAM,
            f"a person is asked about a surplus of {name(number)}",
            with_wish(world, number, asked=True),
        )
    if extra and setting.references and not wish.change:
        yield Move(
            PROGRAM,
            f"a cancel of the surplus of {name(number)} is stored",
            with_wish(world, number, change=True),
        )
    if extra and wish.change:
        gone = put(world.appointments, extra[0], world.appointments[extra[0]]._replace(stands=False))
        yield Move(NETWORK, f"the surplus of {name(number)} is cancelled", world._replace(appointments=gone))
    if wish.change and not extra:
        yield Move(
            PROGRAM, f"a read shows one appointment of {name(number)}", with_wish(world, number, change=False)
        )


def find_surplus(world: World, setting: Setting, number: int) -> list[int]:
    return [
        place for place in candidates(world, setting, number) if world.appointments[place].owner != number
    ]


# What a worker does with what it knows


def worker_moves(world: World, setting: Setting, hand: int, worker: Worker) -> Iterator[Move]:
    if worker.doing == IDLE:
        return
    yield Move(OTHERS, f"a worker dies, {worker.doing}", with_worker(stop_listening(world, hand), hand))
    if worker.doing == ABOUT_TO_SEND:
        yield from send_moves(world, hand, worker)
    elif worker.doing != WAITING:
        yield write_down(world, setting, hand, worker)
    if worker.doing in {WAITING, HEARD_BOOKED, HEARD_LOST}:
        lost = doing(stop_listening(world, hand), hand, GAVE_UP)
        yield Move(NETWORK, f"the worker with {name(worker.wish)} gets no answer it can read", lost)


def stop_listening(world: World, hand: int) -> World:
    heard = tuple(sorted((wish, NOBODY if ear == hand else ear) for wish, ear in world.requests))
    return world._replace(requests=heard)


def send_moves(world: World, hand: int, worker: Worker) -> Iterator[Move]:
    """The bytes leave, or certainly do not (class N)."""
    number = worker.wish
    posts = put(world.posts, number, world.posts[number] + 1)
    requests = tuple(sorted((*world.requests, (number, hand))))
    sent = doing(world._replace(posts=posts, requests=requests), hand, WAITING)
    yield Move(PROGRAM, f"the worker sends the POST of {name(number)}", sent)
    yield Move(NETWORK, f"the worker with {name(number)} cannot connect", doing(world, hand, NEVER_SENT))


def write_down(world: World, setting: Setting, hand: int, worker: Worker) -> Move:
    """One transaction; "every write of a result repeats AND lease_token=mine"."""
    number, policy = worker.wish, setting.policy
    after = with_worker(world, hand)
    if not policy.commit_first and worker.doing not in LOOKED and state_of(after, number) == RECEIVED:
        after = note_attempt(after, number)
    holds = world.wishes[number].holder == hand
    if worker.doing in {HEARD_BOOKED, SAW_SOMETHING}:
        after = write_found(after, setting, number)
    elif holds or not policy.fenced:
        after = WRITERS[worker.doing](after, policy, number, worker)
    else:
        return Move(PROGRAM, f"a worker has lost its lease on {name(number)} and writes nothing", after)
    says = f"the worker {worker.doing} writes {name(number)} down as {state_of(after, number)}"
    return Move(PROGRAM, says, after)


def write_found(world: World, setting: Setting, number: int) -> World:
    """Success is evidence, however late; one that another wish has adopted meanwhile is no longer ours."""
    found = candidates(world, setting, number)
    return adopt(world, number, found[0]) if found else world


def write_lost(world: World, policy: Policy, number: int, worker: Worker) -> World:
    """A lost slot closes "while every earlier attempt is definite"; else it says nothing."""
    if world.wishes[number].unclear > 1:
        return end_unclear(world, number, policy.lost_after_unclear)
    return end_definite(world, number, SLOT_TAKEN)


def write_unclear(world: World, policy: Policy, number: int, worker: Worker) -> World:
    """Class U: "anything else, or lease lapsed: unknown"."""
    return end_unclear(world, number, policy.after_timeout)


def write_unsent(world: World, policy: Policy, number: int, worker: Worker) -> World:
    """Class N: "certainly never sent: received (bounded)", then closed(unreachable)."""
    wish = world.wishes[number]
    if wish.attempts < ATTEMPTS:
        return end_definite(world, number, RECEIVED)
    return end_definite(world, number, UNREACHABLE if wish.unclear <= 1 else UNKNOWN)


def write_negative(world: World, policy: Policy, number: int, worker: Worker) -> World:
    """Nothing seen: "two complete negative reads, the second after settle_at: closed(not_booked)"."""
    wish = world.wishes[number]
    if policy.is_absent(wish.first_negative, worker.when):
        return settle(world, number, policy.when_absent)
    first = wish.first_negative if wish.first_negative != NEVER else worker.when
    return release(with_wish(world, number, state=UNKNOWN, first_negative=first), number)


def settle(world: World, number: int, state: str) -> World:
    """All attempts are taken for absent; who has sent as often as allowed closes."""
    if state == RECEIVED and world.wishes[number].attempts >= ATTEMPTS:
        state = NOT_BOOKED
    return release(with_wish(world, number, state=state, unclear=0), number)


def write_partial(world: World, policy: Policy, number: int, worker: Worker) -> World:
    """A part seen: "reads stay incomplete at settle_at + 5 min: unknown(person), never not_booked"."""
    over = worker.when == A_GAP_LATER
    return release(with_wish(world, number, state=NEEDS_STAFF if over else UNKNOWN), number)


def write_several(world: World, policy: Policy, number: int, worker: Worker) -> World:
    """Several seen: "two candidates: unknown(person)"."""
    return release(with_wish(world, number, state=NEEDS_STAFF), number)


WRITERS = {
    HEARD_LOST: write_lost,
    GAVE_UP: write_unclear,
    NEVER_SENT: write_unsent,
    SAW_NOTHING: write_negative,
    SAW_A_PART: write_partial,
    SAW_SEVERAL: write_several,
}


def end_definite(world: World, number: int, state: str) -> World:
    """The attempt certainly made nothing."""
    unclear = max(world.wishes[number].unclear - 1, 0)
    return release(with_wish(world, number, state=state, unclear=unclear), number)


def end_unclear(world: World, number: int, state: str) -> World:
    """The attempt may have made something. Who sends again all the same, does so as often as allowed."""
    if state == RECEIVED and world.wishes[number].attempts >= ATTEMPTS:
        state = UNKNOWN
    return release(with_wish(world, number, state=state), number)


# The network and meetergo


def request_moves(world: World, setting: Setting, request: tuple[int, int]) -> Iterator[Move]:
    """A request on its way is lost, repeated, or arrives."""
    number = request[0]
    rest = list(world.requests)
    rest.remove(request)
    gone = world._replace(requests=tuple(rest))
    yield Move(NETWORK, f"a request of {name(number)} is lost on the way", gone)
    yield from arrivals(gone, setting, request)
    if setting.repeats and not world.copied:
        twice = tuple(sorted((*world.requests, (number, NOBODY))))
        says = f"a request of {name(number)} is repeated on the way"
        yield Move(OTHERS, says, world._replace(requests=twice, copied=True))


def arrivals(world: World, setting: Setting, request: tuple[int, int]) -> Iterator[Move]:
    """meetergo looks whether the slot is free and takes it, in one step.

    A rival may take the slot, or fill it, and give it back at any moment: so there is always one who has
    just done so, and nothing needs to remember whether one has.
    """
    number, ear = request
    taken = says_to(world, ear, HEARD_LOST)
    if setting.shared or not is_ours(world, setting, setting.slot(number)):
        made = (*world.appointments, Appointment(number, len(world.wishes)))
        booked = says_to(world._replace(appointments=made), ear, HEARD_BOOKED)
        yield Move(NETWORK, f"meetergo books {name(number)}", booked)
        yield Move(NETWORK, f"a rival is faster: meetergo finds the slot of {name(number)} taken", taken)
    else:
        yield Move(NETWORK, f"meetergo finds the slot of {name(number)} taken by the attendee's own", taken)


def says_to(world: World, ear: int, answer: str) -> World:
    return world if ear == NOBODY else doing(world, ear, answer)


def is_ours(world: World, setting: Setting, slot: int) -> bool:
    return any(setting.slot(item.wish) == slot and item.stands for item in world.appointments)


# Where a kill can strike

VOLATILE_POINTS = {
    ABOUT_TO_SEND: "K3",
    WAITING: "K4",
    HEARD_BOOKED: "K5 K6",
    HEARD_LOST: "K5 K6",
    GAVE_UP: "K5 K6",
    SAW_NOTHING: "K8",
    SAW_SOMETHING: "K8",
    SAW_A_PART: "K8",
}


def fault_points(world: World) -> set[str]:
    """At which of the protocol's fault points everything could die in this world."""
    points = " ".join(VOLATILE_POINTS.get(worker.doing, "") for worker in world.workers).split()
    points += [] if world.wishes else ["K1"]
    for wish in world.wishes:
        points += ["K2"] if wish.state == RECEIVED else []
        points += ["K7"] if wish.state == CONFIRMED != wish.told else []
        points += ["K9"] if wish.first_negative != NEVER else []
        points += ["K10"] if wish.change else []
    return set(points)
