"""The worlds in which ours must keep every promise, and the mistakes that must be caught in them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product

from tests.proofs.model import policies
from tests.proofs.model.model import Setting
from tests.proofs.model.policies import Policy
from tests.proofs.model.promises import ENDS, PROMISES, Promise

#: The provider keeps to its time: both kinds of slot, markers or none, another slot or the same again.
BOUNDED = tuple(
    Setting(shared=shared, references=references, same_slot=same_slot, begun=shared)
    for shared, references, same_slot in product((False, True), repeat=3)
)

#: Requests may land at any time, even long after the attendee was told. Without markers the same slot is
#: the harder case: only there can two wishes be mistaken for each other.
UNBOUNDED = tuple(
    Setting(shared=shared, references=references, same_slot=not references, begun=shared, bounded=False)
    for shared, references in product((False, True), repeat=2)
)

#: Something on the way delivers one request twice, so that one wish can make two appointments.
REPEATING = Setting(shared=True, repeats=True)


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """A policy in one of the worlds above, and the promise that it breaks there."""

    policy: Policy
    promise: str
    world: Setting

    def __str__(self) -> str:
        return f"{self.setting}: {self.promise}"

    @property
    def setting(self) -> Setting:
        return replace(self.world, policy=self.policy)

    @property
    def promises(self) -> dict[str, Promise]:
        """That promise alone, so that the trace leads to this harm and not to an earlier one."""
        return {} if self.promise == ENDS else {self.promise: PROMISES[self.promise]}


OVER = "told no only when it is over"
TRUE = "told booked only with an appointment"
TWICE = "one appointment per wish"
TWO = "one appointment per person"
STAYS = "a confirmation stays"
PHANTOM = "no phantom"
ANSWERED = "every form is answered"
WRITTEN = "written before it is sent"
UNCLEAR = "one unclear attempt"
OPEN_ONCE = "one open booking"


def find_world(worlds: tuple[Setting, ...], **wanted: bool) -> Setting:
    """The first world that is as wanted."""
    return next(world for world in worlds if wanted.items() <= vars(world).items())


def make_mistakes(policy: Policy, exclusive: str, shared: str, worlds=BOUNDED, **wanted) -> list[Mistake]:
    """One for each kind of slot; an empty promise leaves a kind out."""
    return [
        Mistake(policy=policy, promise=promise, world=find_world(worlds, shared=kind, **wanted))
        for kind, promise in ((False, exclusive), (True, shared))
        if promise
    ]


USUAL = {"references": True, "same_slot": False}
HIDDEN = {"references": False}

#: Each policy with what it breaks for exclusive and for shared slots.
MISTAKES = (
    *make_mistakes(policies.RETRIES, OVER, TWICE, **USUAL),
    *make_mistakes(policies.REDELIVERS, UNCLEAR, TWICE, **USUAL),
    *make_mistakes(policies.LOST_IS_LOST, OVER, OVER, **USUAL),
    *make_mistakes(policies.READS_ONCE, TWO, TWO, **USUAL),
    *make_mistakes(policies.READS_TOO_SOON, OVER, OVER, **USUAL),
    *make_mistakes(policies.READS_AND_RETRIES, OVER, TWICE, **USUAL),
    *make_mistakes(policies.FORGETS, TWO, TWO, **USUAL),
    *make_mistakes(policies.SENDS_FIRST, OVER, TWICE, **USUAL),
    *make_mistakes(policies.SENDS_FIRST, WRITTEN, WRITTEN, **USUAL),
    *make_mistakes(policies.BELIEVES, TRUE, TRUE, **USUAL),
    *make_mistakes(policies.UNFENCED, STAYS, STAYS, **USUAL),
    *make_mistakes(policies.NO_OPEN_KEY, TWO, TWO, **USUAL),
    *make_mistakes(policies.NO_OPEN_KEY, OPEN_ONCE, OPEN_ONCE, **USUAL),
    *make_mistakes(policies.DROPS, ANSWERED, ANSWERED, **USUAL),
    *make_mistakes(policies.SPINS, ENDS, ENDS, **USUAL),
    *make_mistakes(policies.OLDEST_FIRST, OVER, OVER, references=False, same_slot=True),
    *make_mistakes(policies.DATES_GROUPS, "", OVER, **HIDDEN),
    *make_mistakes(policies.LOOKS_AWAY, PHANTOM, PHANTOM, UNBOUNDED, **USUAL),
    *make_mistakes(policies.WATCHES_MARKERS, PHANTOM, PHANTOM, UNBOUNDED, **HIDDEN),
)
