"""The state of a sandbox and its indexes.

One reentrant lock guards all of it. A caller that reads and then writes holds the lock around both.
"""

from __future__ import annotations

import secrets
import threading
from bisect import bisect_left, bisect_right, insort
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from django_meetergo.sandbox.clock import Clock, print_instant
from django_meetergo.sandbox.mails import Mailbox
from django_meetergo.sandbox.records import (
    Appointment,
    Attendee,
    MeetingType,
    OneTimeLink,
    Provisional,
    Queue,
    Token,
    User,
    Webhook,
)
from django_meetergo.sandbox.request_log import RequestLog
from django_meetergo.sandbox.settings import Settings
from django_meetergo.sandbox.working_hours import BusyCalendar, BusyPeriod, to_epoch

FIRST_WEBHOOK_ID = 1492
PUBLIC_URL = "https://cal.meetergo.com"

#: Called with the name of a webhook event and the appointment it is about.
Announce = Callable[[str, Appointment], None]


class State:
    """Everything one sandbox holds."""

    def __init__(
        self,
        clock: Clock,
        request_log: RequestLog,
        settings: Settings,
        announce: Announce,
        make_uuid: Callable[[], UUID] = uuid4,
    ) -> None:
        self.lock = threading.RLock()
        self.clock = clock
        self.request_log = request_log
        self.settings = settings
        self.make_uuid = make_uuid
        self._announce = announce
        #: Where the hosted booking pages are. A server sets it to its own address.
        self.public_url = PUBLIC_URL
        self.clear()

    def clear(self) -> None:
        """Remove everything."""
        self.users: dict[str, User] = {}
        self.meeting_types: dict[str, MeetingType] = {}
        self.queues: dict[str, Queue] = {}
        self.tokens: dict[str, Token] = {}
        self.data_fields: list[dict[str, Any]] = []
        self.appointments: dict[str, Appointment] = {}
        self.provisionals: dict[str, Provisional] = {}
        self.pending: dict[str, Provisional] = {}  # provisionals without an outcome, oldest first
        self.webhooks: dict[int, Webhook] = {}
        self.one_time_links: dict[str, OneTimeLink] = {}  # by the last part of their address
        self.calendar = BusyCalendar()
        self.mailbox = Mailbox()
        self.owner_id = ""
        self._by_start: dict[str, list[tuple[int, int, str]]] = defaultdict(list)
        self._by_creation: dict[str, list[str]] = defaultdict(list)
        self._sequence = 0
        self.next_webhook_id = FIRST_WEBHOOK_ID

    def now(self) -> datetime:
        """Return the service's present, which the switch ``clock_skew`` moves against the sandbox's clock."""
        return self.clock.now() + timedelta(seconds=self.settings.clock_skew)

    def new_id(self) -> str:
        """Return an id nothing else has."""
        return str(self.make_uuid())

    def get_hosts(self, host_ids: list[str]) -> list[User]:
        """Return the users with these ids, in the same order."""
        return [self.users[host_id] for host_id in host_ids]

    # Reading

    def list_appointments(
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
        """Return one page of a host's appointments that start in a window, and the number on all pages."""
        with self.lock:
            if by_creation:
                ids = self._list_ids_by_creation(user_id, start, end)
            else:
                ids = self._list_ids_by_start(user_id, start, end)
            if matches is not None:
                ids = [key for key in ids if matches(self.appointments[key])]
            page = ids[::-1][offset : offset + limit] if descending else ids[offset : offset + limit]
            return [self.appointments[key] for key in page], len(ids)

    def _list_ids_by_start(self, user_id: str, start: datetime | None, end: datetime | None) -> list[str]:
        index = self._by_start[user_id]
        low = 0 if start is None else bisect_left(index, (-int(-start.timestamp() // 1), -1, ""))
        high = len(index) if end is None else bisect_right(index, (to_epoch(end), 1 << 62, ""))
        return [entry[2] for entry in index[low:high]]

    def _list_ids_by_creation(self, user_id: str, start: datetime | None, end: datetime | None) -> list[str]:
        ids = self._by_creation[user_id]
        if start is None and end is None:
            return ids
        wanted = set(self._list_ids_by_start(user_id, start, end))
        return [key for key in ids if key in wanted]

    def is_busy(self, host_id: str, start: datetime, minutes: int) -> bool:
        """Return whether a host is busy in a period. Group appointments with free seats do not count."""
        low, high = to_epoch(start), to_epoch(start) + minutes * 60
        with self.lock:
            return any(
                busy.start < high
                and busy.end > low
                and busy.seats >= self.meeting_types[busy.meeting_type_id].spots
                for busy in self.calendar.list_between(host_id, low, high)
            )

    # Writing

    def build_appointment(
        self, kind: MeetingType, host_ids: list[str], start: datetime, minutes: int, attendees: list[Attendee]
    ) -> Appointment:
        """Return a new appointment that is not in the state yet."""
        now = self.now()
        now = now.replace(microsecond=now.microsecond // 1000 * 1000)
        return Appointment(
            id=self.new_id(),
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
        """Create an appointment without checking availability, and announce it."""
        with self.lock:
            appointment = self.build_appointment(kind, host_ids, start, minutes, attendees)
            self.insert_appointment(appointment)
            self.record_change("appointment_created", appointment, event="booking_created")
            return appointment

    def insert_appointment(self, appointment: Appointment) -> None:
        """Store an appointment. It is neither logged nor announced."""
        with self.lock:
            self._sequence += 1
            appointment.sequence = self._sequence
            self.appointments[appointment.id] = appointment
            self._add_to_index(appointment)
            self._add_to_creation_index(appointment)
            if not appointment.is_cancelled:
                self.occupy_time(appointment)

    def delete_appointment(self, appointment_id: str) -> None:
        """Remove an appointment as if it had never existed. It is neither logged nor announced."""
        with self.lock:
            appointment = self.appointments.pop(appointment_id)
            self._remove_from_index(appointment)
            self.calendar.remove(appointment_id)
            for host_id in appointment.host_ids:
                self._by_creation[host_id].remove(appointment_id)

    def change_start(self, appointment: Appointment, start: datetime) -> None:
        """Give an appointment another start and keep its length."""
        end = start + appointment.length
        self._remove_from_index(appointment)
        appointment.start, appointment.end = start, end
        self._add_to_index(appointment)
        self.occupy_time(appointment)

    def change_hosts(self, appointment: Appointment, host_ids: list[str]) -> None:
        """Give an appointment other hosts at the same time."""
        self._remove_from_index(appointment)
        for host_id in appointment.host_ids:
            self._by_creation[host_id].remove(appointment.id)
        appointment.host_ids = host_ids
        self._add_to_index(appointment)
        self._add_to_creation_index(appointment)
        self.occupy_time(appointment)

    def occupy_time(self, appointment: Appointment) -> None:
        """Enter an appointment in its hosts' calendars, in place of its former entry."""
        kind = self.meeting_types[appointment.meeting_type_id]
        busy = BusyPeriod(
            key=appointment.id,
            start=to_epoch(appointment.start),
            end=to_epoch(appointment.end),
            before=kind.buffer_before * 60,
            after=kind.buffer_after * 60,
            meeting_type_id=kind.id,
            seats=len(appointment.attendees),
            appointment_id=appointment.id,
        )
        self.calendar.add(busy, appointment.host_ids)

    def _add_to_index(self, appointment: Appointment) -> None:
        for host_id in appointment.host_ids:
            entry = (to_epoch(appointment.start), appointment.sequence, appointment.id)
            insort(self._by_start[host_id], entry)

    def _add_to_creation_index(self, appointment: Appointment) -> None:
        def get_age(key: str) -> tuple[datetime, int]:
            return self.appointments[key].created_at, self.appointments[key].sequence

        for host_id in appointment.host_ids:
            insort(self._by_creation[host_id], appointment.id, key=get_age)

    def _remove_from_index(self, appointment: Appointment) -> None:
        entry = (to_epoch(appointment.start), appointment.sequence, appointment.id)
        for host_id in appointment.host_ids:
            index = self._by_start[host_id]
            del index[bisect_left(index, entry)]

    # Log and webhooks

    def record_change(
        self,
        change: str,
        appointment: Appointment,
        *,
        event: str | None = None,
        attendee: Attendee | None = None,
        is_mailed: bool = True,
        **facts: Any,
    ) -> None:
        """Log and mail a change of an appointment; with ``event``, announce it to the webhook endpoints."""
        if attendee is not None:
            facts["attendee"] = {"id": attendee.id, "email": attendee.email, "notes": dict(attendee.answers)}
        self.request_log.write(
            "applied",
            change=change,
            appointmentId=appointment.id,
            meetingTypeId=appointment.meeting_type_id,
            start=print_instant(appointment.start),
            end=print_instant(appointment.end),
            hostIds=list(appointment.host_ids),
            emails=[attendee.email for attendee in appointment.attendees],
            isCancelled=appointment.is_cancelled,
            updatedAt=print_instant(appointment.updated_at),
            **facts,
        )
        recipients = [attendee] if attendee is not None else appointment.attendees
        for one in recipients if is_mailed else ():
            self.mailbox.send(
                change,
                [one.email],
                about=self.meeting_types[appointment.meeting_type_id].name,
                start=appointment.start,
                now=self.now(),
                path=f"/appointment/{appointment.id}/{appointment.secret}?attendee={one.id}",
            )
        if event is not None:
            self._announce(event, appointment)
