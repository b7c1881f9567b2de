"""The environments in which the protocol must hold, and the mistakes that must be found in them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product

from tests.proofs.model import policies
from tests.proofs.model.invariants import INVARIANTS, TERMINATES, Invariant
from tests.proofs.model.model import Environment
from tests.proofs.model.policies import Policy

#: meetergo carries out requests before OUTCOME_DEADLINE: both kinds of slot, with and without references,
#: the second booking for the same slot or another one.
BOUNDED = tuple(
    Environment(shared=shared, references=references, same_slot=same_slot, group_exists=shared)
    for shared, references, same_slot in product((False, True), repeat=3)
)

#: Requests may arrive at any time, even long after the attendee was notified. Without references the same
#: slot is the harder case, because only there two bookings can be confused.
UNBOUNDED = tuple(
    Environment(
        shared=shared, references=references, same_slot=not references, group_exists=shared, bounded=False
    )
    for shared, references in product((False, True), repeat=2)
)

#: The network delivers one request twice, so that one booking can make two appointments.
DUPLICATING = Environment(shared=True, can_duplicate=True)


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """A policy, an environment, and the invariant that it violates there."""

    policy: Policy
    invariant: str
    base: Environment

    def __str__(self) -> str:
        return f"{self.environment}: {self.invariant}"

    @property
    def environment(self) -> Environment:
        return replace(self.base, policy=self.policy)

    @property
    def invariants(self) -> dict[str, Invariant]:
        """That invariant alone, so that the trace leads to this violation and not to an earlier one."""
        return {} if self.invariant == TERMINATES else {self.invariant: INVARIANTS[self.invariant]}


NONE_WHEN_REFUSED = "notified as not booked only when it is final"
APPOINTMENT_WHEN_NOTIFIED = "notified as booked only with an appointment"
ONE_PER_BOOKING = "one appointment per booking"
ONE_PER_ATTENDEE = "one appointment per attendee"
STAYS_CONFIRMED = "a confirmation stays"
NO_UNKNOWN = "no unknown appointment"
IS_ANSWERED = "every booking is answered"
RECORDED_FIRST = "recorded before it is sent"
ONE_OPEN_ATTEMPT = "one open attempt"
ONE_OPEN_BOOKING = "one open booking"


def find_environment(environments: tuple[Environment, ...], **required: bool) -> Environment:
    """Return the first environment with these values."""
    return next(one for one in environments if required.items() <= vars(one).items())


def make_mistakes(
    policy: Policy, exclusive: str, group: str, environments=BOUNDED, **required
) -> list[Mistake]:
    """Return one mistake per kind of slot; an empty invariant leaves that kind out."""
    return [
        Mistake(
            policy=policy,
            invariant=invariant,
            base=find_environment(environments, shared=shared, **required),
        )
        for shared, invariant in ((False, exclusive), (True, group))
        if invariant
    ]


WITH_REFERENCES = {"references": True, "same_slot": False}
WITHOUT_REFERENCES = {"references": False}

#: Each policy with the invariants that it violates for exclusive and for shared slots.
MISTAKES = (
    *make_mistakes(policies.RETRIES, NONE_WHEN_REFUSED, ONE_PER_BOOKING, **WITH_REFERENCES),
    *make_mistakes(policies.RESENDS_AFTER_CRASH, ONE_OPEN_ATTEMPT, ONE_PER_BOOKING, **WITH_REFERENCES),
    *make_mistakes(policies.TRUSTS_SLOT_TAKEN, NONE_WHEN_REFUSED, NONE_WHEN_REFUSED, **WITH_REFERENCES),
    *make_mistakes(policies.READS_ONCE, ONE_PER_ATTENDEE, ONE_PER_ATTENDEE, **WITH_REFERENCES),
    *make_mistakes(policies.READS_TOO_EARLY, NONE_WHEN_REFUSED, NONE_WHEN_REFUSED, **WITH_REFERENCES),
    *make_mistakes(policies.READS_ONCE_AND_RESENDS, NONE_WHEN_REFUSED, ONE_PER_BOOKING, **WITH_REFERENCES),
    *make_mistakes(policies.DROPS_UNKNOWN, ONE_PER_ATTENDEE, ONE_PER_ATTENDEE, **WITH_REFERENCES),
    *make_mistakes(policies.SENDS_FIRST, NONE_WHEN_REFUSED, ONE_PER_BOOKING, **WITH_REFERENCES),
    *make_mistakes(policies.SENDS_FIRST, RECORDED_FIRST, RECORDED_FIRST, **WITH_REFERENCES),
    *make_mistakes(
        policies.ASSUMES_SUCCESS, APPOINTMENT_WHEN_NOTIFIED, APPOINTMENT_WHEN_NOTIFIED, **WITH_REFERENCES
    ),
    *make_mistakes(policies.UNFENCED, STAYS_CONFIRMED, STAYS_CONFIRMED, **WITH_REFERENCES),
    *make_mistakes(policies.NO_OPEN_BOOKING_KEY, ONE_PER_ATTENDEE, ONE_PER_ATTENDEE, **WITH_REFERENCES),
    *make_mistakes(policies.NO_OPEN_BOOKING_KEY, ONE_OPEN_BOOKING, ONE_OPEN_BOOKING, **WITH_REFERENCES),
    *make_mistakes(policies.NEVER_RECLAIMS, IS_ANSWERED, IS_ANSWERED, **WITH_REFERENCES),
    *make_mistakes(policies.RECLAIMS_WITHOUT_CHANGE, TERMINATES, TERMINATES, **WITH_REFERENCES),
    *make_mistakes(
        policies.OLDEST_FIRST, NONE_WHEN_REFUSED, NONE_WHEN_REFUSED, references=False, same_slot=True
    ),
    *make_mistakes(policies.DATES_ATTENDEES_BY_GROUP, "", NONE_WHEN_REFUSED, **WITHOUT_REFERENCES),
    *make_mistakes(policies.IGNORES_CLOSED, NO_UNKNOWN, NO_UNKNOWN, UNBOUNDED, **WITH_REFERENCES),
    *make_mistakes(policies.MATCHES_REFERENCES_ONLY, NO_UNKNOWN, NO_UNKNOWN, UNBOUNDED, **WITHOUT_REFERENCES),
)
