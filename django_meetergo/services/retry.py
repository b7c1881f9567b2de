"""When failed work is tried again, and when it is given up.

This is the only module that computes the next time of a leased row. Each kind of row has a policy here; the
services ask the policy and write what it answers.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Any, Literal

from django.db.models import QuerySet

from django_meetergo.clock import Stopwatch
from django_meetergo.conf import get_settings
from django_meetergo.exceptions import CircuitOpen, RateLimitReached
from django_meetergo.models import AppointmentChange, SyncRun, WebhookDelivery
from django_meetergo.models.leases import Leased

MINUTE, HOUR, DAY = 60, 3600, 86400
#: Seconds of a ``Retry-After`` that are obeyed at most. The request limit of meetergo is per minute.
MAX_RETRY_AFTER = 5 * MINUTE
#: The smallest part of a delay that jitter may leave.
MIN_JITTER = 0.1
#: No request left this site: the rate limit, the circuit breaker or a refused credential held it back.
HELD_BACK = (RateLimitReached, CircuitOpen)
#: Column values of a row whose present state has not failed yet.
FRESH: Mapping[str, Any] = {"tries": 0, "polls": 0, "failing_since": None}


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """How long one kind of row waits between failed tries, and what it becomes when they are used up.

    ``delays`` are seconds; the last one repeats. With ``jitter`` each wait is drawn at random up to its
    delay, so that rows that failed together do not come back together. An ``anchored`` policy is a fixed
    schedule: its delays add up from the moment the row began to wait, however often it was tried in between.
    ``max_tries`` and ``give_up_after`` (seconds since the first failure) end it, whichever comes first.
    ``counter`` names the column that counts: ``tries`` for sends and other work, ``polls`` for re-reads.
    ``then`` holds the column values of a row that is given up, unless a service ends it by more than columns.
    """

    delays: tuple[float, ...]
    jitter: bool = True
    anchored: bool = False
    max_tries: int | None = None
    give_up_after: float | None = None
    max_retry_after: float = MAX_RETRY_AFTER
    counter: Literal["tries", "polls"] = "tries"
    then: Mapping[str, Any] = field(default_factory=dict)

    def plan(
        self,
        row: Leased,
        now: datetime,
        error: Exception | None = None,
        *,
        is_counted: bool = False,
        is_held_back: bool = False,
    ) -> dict[str, Any] | None:
        """Return the column values that make a failed row wait for its next try; None when it is given up.

        ``is_counted`` says that the counter already includes the try that has just failed. A try is not
        counted when its call was held back on our side, or when ``is_held_back`` says that it says nothing
        about this row.
        """
        since = row.failing_since or now
        count = getattr(row, self.counter)
        if (is_held_back or isinstance(error, HELD_BACK)) and not self.is_too_old(since, now):
            return {"failing_since": since, "next_at": SUSPENDED.find_next(1, now, error=error)}
        count += 0 if is_counted else 1
        next_at = self.find_next(count, now, since=since, error=error)
        if next_at is None:
            return None
        return {self.counter: count, "failing_since": since, "next_at": next_at}

    def find_next(
        self, count: int, now: datetime, *, since: datetime | None = None, error: Exception | None = None
    ) -> datetime | None:
        """Return when a row is tried again after ``count`` failures since ``since``; None when it is not."""
        since = since or now
        if self.max_tries is not None and count >= self.max_tries:
            return None
        if self.is_too_old(since, now):
            return None
        if self.anchored:
            return self.find_anchored(now, since)
        delay = self.delays[min(max(count, 1), len(self.delays)) - 1]
        if self.jitter:
            delay *= random.uniform(MIN_JITTER, 1)  # noqa: S311 - spreads load, guards nothing
        return now + timedelta(seconds=max(delay, self.limit_retry_after(error)))

    def is_too_old(self, since: datetime, now: datetime) -> bool:
        """Whether a series of failures that began at ``since`` has lasted for too long."""
        return self.give_up_after is not None and (now - since).total_seconds() >= self.give_up_after

    def find_anchored(self, now: datetime, since: datetime) -> datetime:
        elapsed = (now - since).total_seconds()
        offsets = list(accumulate(self.delays))
        ahead = next((offset for offset in offsets if offset > elapsed), None)
        if ahead is None:
            last, repeated = offsets[-1], self.delays[-1]
            ahead = last + repeated * ((elapsed - last) // repeated + 1)
        return since + timedelta(seconds=ahead)

    def limit_retry_after(self, error: Exception | None) -> float:
        """Return the seconds an answer asked us to wait, within the cap."""
        return min(getattr(error, "retry_after", None) or 0.0, self.max_retry_after)


@dataclass(frozen=True, kw_only=True)
class OutcomeSchedule:
    """When a booking whose answer was lost is looked for: early, at its deadline, and once more after it.

    All values are seconds. ``gap`` lies between two searches that prove that nothing was booked; it also
    separates the searches after the deadline. ``patience`` after the deadline a booking is left to staff if
    its searches were incomplete, ``min_searches`` at least: the workers may have been stopped meanwhile.
    ``slow`` lies between the searches that follow.
    """

    early: tuple[float, ...] = (2, 20)
    gap: float = 30
    patience: float = 5 * MINUTE
    min_searches: int = 3
    slow: float = 15 * MINUTE

    def get_gap(self) -> timedelta:
        """Return the gap, shortened where the site has shortened the deadline."""
        return min(timedelta(seconds=self.gap), get_settings().outcome_deadline / 4)

    def find_next(
        self, now: datetime, *, deadline: datetime | None, first_absent_at: datetime | None
    ) -> datetime:
        """Return the next moment of the schedule that is still ahead."""
        deadline = deadline or now
        sent_at = deadline - get_settings().outcome_deadline
        plan = [sent_at + timedelta(seconds=seconds) for seconds in self.early]
        plan += [deadline, deadline + self.get_gap()]
        if first_absent_at:
            plan.append(first_absent_at + self.get_gap())
        return min((moment for moment in plan if moment > now), default=now + self.get_gap())

    def find_slow(self, now: datetime) -> datetime:
        """Return when a booking is searched for that is left to staff."""
        return now + timedelta(seconds=self.slow)

    def is_over(self, now: datetime, deadline: datetime | None, *, searches: int) -> bool:
        """Whether a booking is left to staff whose last search was incomplete, after so many before it."""
        is_late = now >= (deadline or now) + timedelta(seconds=self.patience)
        return is_late and searches + 1 >= self.min_searches


#: Nothing was sent because calls are suspended: the row waits without being counted.
SUSPENDED = RetryPolicy(delays=(10,), jitter=False, max_retry_after=MINUTE)

#: A booking whose request certainly was not applied. Its attendee waits for the answer, so not for long.
BOOKING_SEND = RetryPolicy(delays=(2, 10, 30, 60, 120), max_tries=5, give_up_after=15 * MINUTE)
#: The same, when the attendee agreed to wait for the service.
BOOKING_DEFERRED = RetryPolicy(delays=(2, 10, 30, 60, 120), give_up_after=15 * MINUTE)
#: A booking that tries the next slot it agreed to. Bookings that lost one race must not choose the same one.
BOOKING_NEXT_SLOT = RetryPolicy(delays=(15,))
#: A booking whose answer was lost.
BOOKING_OUTCOME = OutcomeSchedule()
#: An open booking that cannot be looked for at all: calls are suspended, or its connection was removed.
BOOKING_SEARCH = RetryPolicy(delays=(30, 60, 120), give_up_after=5 * MINUTE, counter="polls")
#: A booking that waits for a confirmation: after 1, 5, 15 minutes, hourly for two days, then every 6 hours.
BOOKING_PENDING = RetryPolicy(
    delays=(MINUTE, 4 * MINUTE, 10 * MINUTE, *[HOUR] * 48, 6 * HOUR),
    jitter=False,
    anchored=True,
    counter="polls",
)
#: A booking that was closed as not booked, and whose request may still become a provisional booking.
BOOKING_WATCH = RetryPolicy(
    delays=(5 * MINUTE, 10 * MINUTE, *[HOUR] * 48, 6 * HOUR), jitter=False, anchored=True, counter="polls"
)
#: A booking that waits for a confirmation, when its state cannot be read.
BOOKING_PENDING_UNREAD = RetryPolicy(
    delays=(MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR), give_up_after=3 * DAY, counter="polls"
)
#: A confirmed booking whose appointment is read for its link and its host. Sync brings what is given up.
BOOKING_REREAD = RetryPolicy(
    delays=(5, 20, 80, 320, 1280, HOUR), max_tries=6, counter="polls", then={"next_at": None}
)
#: The same while nothing shows which attendee of a group it is. Sync cannot leave it to staff.
BOOKING_IDENTIFY = RetryPolicy(
    delays=(5, 20, 80, 320, 1280, HOUR), give_up_after=3 * DAY, counter="polls", then={"next_at": None}
)

#: A cancel, move or handoff that certainly was not carried out.
CHANGE_SEND = RetryPolicy(
    delays=(2, 10, 30, 60, 120, 300),
    max_tries=30,
    give_up_after=HOUR,
    then={"state": AppointmentChange.State.REFUSED, "outcome": "unreachable"},
)
#: A change whose answer was lost. Given up, it is left to staff: nobody knows whether it was carried out.
CHANGE_POLL = RetryPolicy(
    delays=(2, 5, 20, MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR),
    give_up_after=3 * DAY,
    counter="polls",
    then={"state": AppointmentChange.State.REFUSED, "outcome": "unverified"},
)
#: A change that waits for another change of the same appointment to end, which makes it due.
CHANGE_QUEUED = RetryPolicy(delays=(MINUTE,), jitter=False)

#: A delivery whose appointment could not be read or stored.
DELIVERY = RetryPolicy(
    delays=(5, 15, MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR, 2 * HOUR),
    give_up_after=3 * DAY,
    then={"state": WebhookDelivery.State.DEAD},
)
#: A delivery whose appointment meetergo does not know, or not yet.
DELIVERY_NOT_FOUND = RetryPolicy(
    delays=(5, 30, 2 * MINUTE, 10 * MINUTE),
    jitter=False,
    max_tries=5,
    counter="polls",
    then={"state": WebhookDelivery.State.UNCONFIRMED},
)

#: An event that not all of its receivers have handled. Each receiver is given up by itself.
EVENT = RetryPolicy(delays=(5, 30, 2 * MINUTE, 10 * MINUTE, HOUR, 2 * HOUR, 4 * HOUR), give_up_after=3 * DAY)

#: A sync that was stopped. It keeps its place, and goes on from there. Ten minutes after an outage of any
#: length the mirror is to be right again.
SYNC = RetryPolicy(
    delays=(MINUTE, 2 * MINUTE, 5 * MINUTE),
    give_up_after=DAY,
    then={"state": SyncRun.State.FAILED, "open_run_key": None},
)


class LeaseRenewal:
    """Keeps the lease of claimed rows alive while work on them goes on.

    ``rows`` is the query set of the rows as their worker holds them, narrowed by the lease's token.
    """

    def __init__(self, rows: QuerySet[Any], stopwatch: Stopwatch) -> None:
        self.rows = rows
        self.stopwatch = stopwatch
        self.renewed_at = stopwatch.now()

    def renew_if_due(self) -> bool:
        """Extend the lease when a third of it is over. Return False when another worker holds the rows."""
        now, lease = self.stopwatch.now(), get_settings().lease
        if now - self.renewed_at < lease / 3:
            return True
        self.renewed_at = now
        return bool(self.rows.update(lease_until=now + lease))
