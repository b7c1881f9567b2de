"""What a sandbox remembers, kept so that it can be read quickly.

One lock guards all of it. Every public method takes it, and it may be taken again around several calls, so
that what a request reads and what it then writes belong together.
"""

from __future__ import annotations

import secrets
import threading
from bisect import bisect_left, bisect_right, insort
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from django_meetergo.sandbox.clock import Clock, print_instant
from django_meetergo.sandbox.records import (
    Appointment,
    Attendee,
    MeetingType,
    Provisional,
    Queue,
    Settings,
    Token,
    User,
    Webhook,
)
from django_meetergo.sandbox.request_log import RequestLog
from django_meetergo.sandbox.working_hours import Busy, Calendar, epoch

FIRST_WEBHOOK_ID = 1492

Announce = Callable[[str, Appointment], None]


class State:
    """The state of one sandbox, its indexes, and how it is read."""

    def __init__(self, clock: Clock, request_log: RequestLog, settings: Settings, announce: Announce) -> None:
        self.lock = threading.RLock()
        self.clock = clock
        self.request_log = request_log
        self.settings = settings
        self._announce = announce
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self.users: dict[str, User] = {}
        self.meeting_types: dict[str, MeetingType] = {}
        self.queues: dict[str, Queue] = {}
        self.tokens: dict[str, Token] = {}
        self.data_fields: list[dict[str, Any]] = []
        self.appointments: dict[str, Appointment] = {}
        self.provisionals: dict[str, Provisional] = {}
        self.pending: dict[str, Provisional] = {}
        self.webhooks: dict[int, Webhook] = {}
        self.calendar = Calendar()
        self.owner_id = ""
        self.orders: dict[str, Any] = {}  # of waiting bookings, by their id
        self._by_start: dict[str, list[tuple[int, int, str]]] = defaultdict(list)
        self._by_creation: dict[str, list[str]] = defaultdict(list)
        self._sequence = 0
        self._next_webhook_id = FIRST_WEBHOOK_ID

    def now(self) -> datetime:
        """The sandbox's present."""
        return self.clock.now()

    def hosts_of(self, host_ids: list[str]) -> list[User]:
        """The users behind some ids, in the same order."""
        return [self.users[host_id] for host_id in host_ids]

    # Reading

    def appointments_of(
        self,
        user_id: str,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        matches: Callable[[Appointment], bool] | None = None,
        by_creation: bool = False,
        descending: bool = False,
        offset: int = 0,
        limit: int = 20,
    ) -> tuple[list[Appointment], int]:
        """One page of a host's appointments and how many there are in all."""
        with self.lock:
            if by_creation:
                ids = self._ids_by_creation(user_id, start, end)
            else:
                ids = self._ids_by_start(user_id, start, end)
            if matches is not None:
                ids = [key for key in ids if matches(self.appointments[key])]
            page = ids[::-1][offset : offset + limit] if descending else ids[offset : offset + limit]
            return [self.appointments[key] for key in page], len(ids)

    def _ids_by_start(self, user_id: str, start: datetime | None, end: datetime | None) -> list[str]:
        index = self._by_start[user_id]
        low = 0 if start is None else bisect_left(index, (-int(-start.timestamp() // 1), -1, ""))
        high = len(index) if end is None else bisect_right(index, (epoch(end), 1 << 62, ""))
        return [entry[2] for entry in index[low:high]]

    def _ids_by_creation(self, user_id: str, start: datetime | None, end: datetime | None) -> list[str]:
        ids = self._by_creation[user_id]
        if start is None and end is None:
            return ids
        wanted = set(self._ids_by_start(user_id, start, end))
        return [key for key in ids if key in wanted]

    # Writing

    def make(
        self, kind: MeetingType, host_ids: list[str], start: datetime, minutes: int, attendees: list[Attendee]
    ) -> Appointment:
        """A new appointment that nobody knows of yet."""
        now = self.now()
        now = now.replace(microsecond=now.microsecond // 1000 * 1000)
        return Appointment(
            id=str(uuid4()),
            secret=secrets.token_hex(10),
            meeting_type_id=kind.id,
            start=start,
            end=start + timedelta(minutes=minutes),
            host_ids=host_ids,
            attendees=attendees,
            channel=kind.channel,
            location=kind.locations[0] if kind.channel == "local" and kind.locations else None,
            link_number=100_000_000 + secrets.randbelow(900_000_000),
            created_at=now,
            updated_at=now,
        )

    def add_appointment(
        self,
        kind: MeetingType,
        *,
        host_ids: list[str],
        start: datetime,
        minutes: int,
        attendees: list[Attendee],
    ) -> Appointment:
        """Let an appointment stand without asking the timetable, and tell of it."""
        with self.lock:
            appointment = self.make(kind, host_ids, start, minutes, attendees)
            self.enter(appointment)
            self._tell("appointment_created", appointment, event="booking_created")
            return appointment

    def enter(self, appointment: Appointment) -> None:
        """Add a ready-made appointment, without a word to anyone."""
        with self.lock:
            self._sequence += 1
            appointment.sequence = self._sequence
            self.appointments[appointment.id] = appointment
            self._index(appointment)
            for host_id in appointment.host_ids:
                self._by_creation[host_id].append(appointment.id)
            if not appointment.is_cancelled:
                self._block(appointment)

    def delete_appointment(self, appointment_id: str) -> None:
        """Lose an appointment without a trace, as if it had never been."""
        with self.lock:
            appointment = self.appointments.pop(appointment_id)
            self._unindex(appointment)
            self.calendar.take_out(appointment_id)
            for host_id in appointment.host_ids:
                self._by_creation[host_id].remove(appointment_id)

    def _index(self, appointment: Appointment) -> None:
        for host_id in appointment.host_ids:
            insort(self._by_start[host_id], (epoch(appointment.start), appointment.sequence, appointment.id))

    def _unindex(self, appointment: Appointment) -> None:
        entry = (epoch(appointment.start), appointment.sequence, appointment.id)
        for host_id in appointment.host_ids:
            index = self._by_start[host_id]
            del index[bisect_left(index, entry)]

    def _block(self, appointment: Appointment) -> None:
        kind = self.meeting_types[appointment.meeting_type_id]
        busy = Busy(
            key=appointment.id,
            start=epoch(appointment.start),
            end=epoch(appointment.end),
            before=kind.buffer_before * 60,
            after=kind.buffer_after * 60,
            type_id=kind.id,
            seats=len(appointment.attendees),
            appointment_id=appointment.id,
        )
        self.calendar.put(busy, appointment.host_ids)

    def is_taken(self, host_id: str, start: datetime, minutes: int) -> bool:
        """Whether something of a host lies in a stretch of time; groups with free seats do not count."""
        low, high = epoch(start), epoch(start) + minutes * 60
        with self.lock:
            near = self.calendar.between(host_id, low, high)
            return any(busy.start < high and busy.end > low and not self._has_seats(busy) for busy in near)

    def _has_seats(self, busy: Busy) -> bool:
        return busy.seats < self.meeting_types[busy.type_id].spots

    def _tell(self, change: str, appointment: Appointment, *, event: str | None = None, **facts: Any) -> None:
        attendee = facts.pop("attendee", None)
        if isinstance(attendee, Attendee):
            facts["attendee"] = {"id": attendee.id, "email": attendee.email, "notes": dict(attendee.answers)}
        self.request_log.write(
            "applied",
            change=change,
            appointmentId=appointment.id,
            meetingTypeId=appointment.meeting_type_id,
            start=print_instant(appointment.start),
            end=print_instant(appointment.end),
            hostIds=list(appointment.host_ids),
            emails=[person.email for person in appointment.attendees],
            isCancelled=appointment.is_cancelled,
            updatedAt=print_instant(appointment.updated_at),
            **facts,
        )
        if event is not None:
            self._announce(event, appointment)
