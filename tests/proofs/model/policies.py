"""Variants of the booking protocol: the real one, and mistakes with a name.

A policy is a set of decisions that the transitions in ``model`` read, so that two policies which differ in
one decision differ in nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass

# States of a booking, with the reason in parentheses.
RECEIVED = "received"
SENDING = "sending"
UNKNOWN = "unknown"
NEEDS_STAFF = "unknown(needs_staff)"
CONFIRMED = "confirmed"
SLOT_TAKEN = "closed(slot_taken)"
NOT_BOOKED = "closed(not_booked)"
UNREACHABLE = "closed(unreachable)"

# The clock has three values: while meetergo may still carry out the request, afterwards, and a minimal
# gap after that.
BEFORE_DEADLINE, AFTER_DEADLINE, LATER = range(3)

NEVER = -1


@dataclass(frozen=True, kw_only=True)
class Policy:
    """The decisions of the protocol. Each default is one of its rules."""

    name: str = "protocol"
    commits_first: bool = True  # "commit, then send"
    is_fenced: bool = True  # "every write of a result repeats AND lease_token=mine"
    reclaims_leases: bool = True  # "the scheduler finds an expired lease"
    after_timeout: str = UNKNOWN  # "class U: unknown"
    after_crash: str = UNKNOWN  # "or lease expired: unknown"
    slot_taken_after_unknown: str = UNKNOWN  # "our own booking may hold the slot"
    reads: int = 2  # "two complete reads without a match"
    waits: bool = True  # "the second after outcome_deadline"
    when_absent: str = NOT_BOOKED  # "there is no automatic second POST after an unknown"
    open_booking_key: bool = True  # "refused by open_booking_key" while the first is unclear
    watches: bool = True  # "closed ones without attendee stay watched"
    matches_lookalikes: bool = True  # also by the second rule, where references are not returned
    newest_first: bool = True  # of two bookings that look alike, the one sent last has the better claim
    dates_attendees: bool = True  # an attendee of a group is dated by joining, not by the group's creation

    def is_absent(self, first: int, now: int) -> bool:
        """Whether a complete read without a match at ``now``, after one at ``first``, proves absence."""
        apart = self.reads == 1 or (first != NEVER and (first < now or not self.waits))
        return apart and (now >= AFTER_DEADLINE or not self.waits)


PROTOCOL = Policy()

RETRIES = Policy(name="retry on timeout", after_timeout=RECEIVED, slot_taken_after_unknown=SLOT_TAKEN)
RESENDS_AFTER_CRASH = Policy(name="send again after a crash", after_crash=RECEIVED)
TRUSTS_SLOT_TAKEN = Policy(
    name="believe 'slot taken' after an unknown attempt",
    after_crash=RECEIVED,
    slot_taken_after_unknown=SLOT_TAKEN,
)
READS_ONCE = Policy(name="read once, then not booked", reads=1, waits=False)
READS_TOO_EARLY = Policy(name="read twice without waiting", waits=False)
READS_ONCE_AND_RESENDS = Policy(name="read once, then send again", reads=1, waits=False, when_absent=RECEIVED)
DROPS_UNKNOWN = Policy(name="treat unknown as not booked", after_timeout=NOT_BOOKED, after_crash=NOT_BOOKED)
SENDS_FIRST = Policy(name="send, then commit", commits_first=False)
ASSUMES_SUCCESS = Policy(name="treat a missing answer as success", after_timeout=CONFIRMED)
UNFENCED = Policy(name="no fencing", is_fenced=False)
NO_OPEN_BOOKING_KEY = Policy(name="choose again while unknown", open_booking_key=False)

IGNORES_CLOSED = Policy(name="ignore matches of closed bookings", watches=False)
MATCHES_REFERENCES_ONLY = Policy(name="match by reference only", matches_lookalikes=False)
OLDEST_FIRST = Policy(name="give a closed booking the first claim", newest_first=False)
DATES_ATTENDEES_BY_GROUP = Policy(name="date attendees by their group", dates_attendees=False)
NEVER_RECLAIMS = Policy(name="never reclaim expired leases", reclaims_leases=False)
RECLAIMS_WITHOUT_CHANGE = Policy(name="reclaim without a change of state", after_crash=SENDING)
