"""What must be true of a world. Numbers are those of the protocol's invariants."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tests.proofs.model.model import CLOSED, OPEN, Appointment, Setting, Wish, World
from tests.proofs.model.policies import CONFIRMED, NEEDS_STAFF

#: Whether a world keeps a promise. Quiet is a world in which only others could still do something.
Promise = Callable[[World, Setting, bool], bool]


def before_a_person(wish: Wish) -> bool:
    return wish.asked or wish.state == NEEDS_STAFF


def made_by(world: World, number: int) -> list[Appointment]:
    """The appointments that carry the marker of a wish and have not been cancelled."""
    return [item for item in world.appointments if item.wish == number and item.stands]


def has_one_per_marker(world: World, setting: Setting, quiet: bool) -> bool:
    """I1. Where requests are repeated on the way, a surplus may stand until it is cancelled."""
    if setting.repeats and not quiet:
        return True
    return all(
        len(made_by(world, number)) <= 1 or before_a_person(wish) for number, wish in enumerate(world.wishes)
    )


def has_one_per_person(world: World, setting: Setting, quiet: bool) -> bool:
    """Nobody has two. Where delays know no bound: nobody has one that they were not told about."""
    if setting.bounded and not setting.repeats:
        return sum(item.stands for item in world.appointments) <= 1
    return not quiet or all(is_known(world, item) for item in world.appointments if item.stands)


def is_known(world: World, item: Appointment) -> bool:
    if item.owner >= 0:
        return world.wishes[item.owner].told == CONFIRMED
    return any(before_a_person(wish) for wish in world.wishes)


def has_what_was_told(world: World, setting: Setting, quiet: bool) -> bool:
    """Nobody is told "booked" without an appointment."""
    owners = {item.owner for item in world.appointments}
    return all(number in owners for number, wish in enumerate(world.wishes) if wish.told == CONFIRMED)


def is_over_when_told(world: World, setting: Setting, quiet: bool) -> bool:
    """Nobody is told "not booked" while it may still happen: had they been, some run would show it happen."""
    if not setting.bounded or setting.repeats:
        return True
    return not any(wish.told in CLOSED and made_by(world, number) for number, wish in enumerate(world.wishes))


def stays_confirmed(world: World, setting: Setting, quiet: bool) -> bool:
    """I2: a confirmed booking has one appointment of its own, and is never un-told."""
    owners = [item.owner for item in world.appointments]
    return all(
        (wish.state != CONFIRMED or owners.count(number) == 1)
        and (wish.told != CONFIRMED or wish.state == CONFIRMED)
        for number, wish in enumerate(world.wishes)
    )


def leaves_no_phantom(world: World, setting: Setting, quiet: bool) -> bool:
    """I3: what stands belongs to a booking that says so; without bound, once it is quiet."""
    if not quiet:
        return True
    return all(item.owner >= 0 or is_known(world, item) for item in world.appointments if item.stands)


def comes_to_an_end(world: World, setting: Setting, quiet: bool) -> bool:
    """I4: when nothing moves any more, every form is answered or before a person."""
    if not quiet:
        return True
    return all(wish.state == NEEDS_STAFF or wish.told == wish.state not in OPEN for wish in world.wishes)


def has_written_first(world: World, setting: Setting, quiet: bool) -> bool:
    """I5: no POST leaves without a committed row."""
    return all(wish.attempts >= sent for wish, sent in zip(world.wishes, world.posts, strict=False))


def has_one_unclear(world: World, setting: Setting, quiet: bool) -> bool:
    """I6: at most one attempt of a booking is not definite."""
    return all(wish.unclear <= 1 for wish in world.wishes)


def has_one_open(world: World, setting: Setting, quiet: bool) -> bool:
    """I7: one open booking per person."""
    return sum(wish.state in OPEN for wish in world.wishes) <= 1


#: What an attendee would notice.
TO_PEOPLE: Mapping[str, Promise] = {
    "one appointment per wish": has_one_per_marker,
    "one appointment per person": has_one_per_person,
    "told booked only with an appointment": has_what_was_told,
    "told no only when it is over": is_over_when_told,
    "a confirmation stays": stays_confirmed,
    "no phantom": leaves_no_phantom,
    "every form is answered": comes_to_an_end,
}

#: What only our ledger would notice.
TO_OURSELVES: Mapping[str, Promise] = {
    "written before it is sent": has_written_first,
    "one unclear attempt": has_one_unclear,
    "one open booking": has_one_open,
}

PROMISES: Mapping[str, Promise] = {**TO_PEOPLE, **TO_OURSELVES}

#: Kept or not by the whole graph rather than by one world; ``search`` checks it.
ENDS = "every run ends"
