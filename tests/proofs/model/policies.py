"""What a program may believe and do. One of these is ours; each of the others is a mistake with a name.

A policy is a handful of decisions. The moves in ``model`` ask it, so that two programs that differ in one
decision differ in nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass

# Where a booking can be. What is closed names its reason, as in the protocol.
RECEIVED = "received"
SENDING = "sending"
UNKNOWN = "unknown"
NEEDS_STAFF = "unknown(person)"
CONFIRMED = "confirmed"
SLOT_TAKEN = "closed(slot_taken)"
NOT_BOOKED = "closed(not_booked)"
UNREACHABLE = "closed(unreachable)"

# Three moments are enough of a clock: when the provider may still be at work, afterwards, and a gap later.
WORKING, SETTLED, A_GAP_LATER = range(3)

NEVER = -1


@dataclass(frozen=True, kw_only=True)
class Policy:
    """The protocol as it is meant. Every field is one sentence of it."""

    name: str = "ours"
    commit_first: bool = True  # "commit, then send"
    fenced: bool = True  # "every write of a result repeats AND lease_token=mine"
    sweeps: bool = True  # "the sweeper finds a lapsed lease"
    after_timeout: str = UNKNOWN  # "class U: unknown"
    after_crash: str = UNKNOWN  # "or lease lapsed: unknown"
    lost_after_unclear: str = UNKNOWN  # "it may be our own booking that holds the slot"
    reads: int = 2  # "two complete negative reads"
    waits: bool = True  # "the second after settle_at"
    when_absent: str = NOT_BOOKED  # "there is no automatic second POST after an unknown"
    open_booking_key: bool = True  # "refused by open_booking_key" while the first is unclear
    watches: bool = True  # "closed ones without attendee stay watched"
    watches_by_likeness: bool = True  # by the second match rule too, where markers are not given back
    youngest_first: bool = True  # of two wishes that look alike, the one sent last has the better claim
    dates_people: bool = True  # who joins a group is dated by their joining, not by the group's beginning

    def is_absent(self, first: int, now: int) -> bool:
        """Whether a complete read at ``now`` that found nothing, after one at ``first``, settles it."""
        apart = self.reads == 1 or (first != NEVER and (first < now or not self.waits))
        return apart and (now >= SETTLED or not self.waits)


OURS = Policy()

RETRIES = Policy(name="retry on timeout", after_timeout=RECEIVED, lost_after_unclear=SLOT_TAKEN)
REDELIVERS = Policy(name="send again after a crash", after_crash=RECEIVED)
LOST_IS_LOST = Policy(
    name="believe 'slot lost' after an unclear attempt", after_crash=RECEIVED, lost_after_unclear=SLOT_TAKEN
)
READS_ONCE = Policy(name="read once, then not booked", reads=1, waits=False)
READS_TOO_SOON = Policy(name="read twice, without waiting", waits=False)
READS_AND_RETRIES = Policy(name="read once, then send again", reads=1, waits=False, when_absent=RECEIVED)
FORGETS = Policy(name="forget what is unclear", after_timeout=NOT_BOOKED, after_crash=NOT_BOOKED)
SENDS_FIRST = Policy(name="send, then commit", commit_first=False)
BELIEVES = Policy(name="take no answer for a yes", after_timeout=CONFIRMED)
UNFENCED = Policy(name="no fencing", fenced=False)
NO_OPEN_KEY = Policy(name="choose again while unknown", open_booking_key=False)

LOOKS_AWAY = Policy(name="do not watch what is closed", watches=False)
WATCHES_MARKERS = Policy(name="watch by marker only", watches_by_likeness=False)
OLDEST_FIRST = Policy(name="let a closed wish claim first", youngest_first=False)
DATES_GROUPS = Policy(name="date people by their group", dates_people=False)
DROPS = Policy(name="nobody sweeps", sweeps=False)
SPINS = Policy(name="sweep and change nothing", after_crash=SENDING)
