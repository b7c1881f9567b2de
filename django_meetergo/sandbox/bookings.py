"""The changes that can be made: booking, confirming, cancelling, moving. Each happens under the one lock."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from django_meetergo.sandbox.clock import print_instant
from django_meetergo.sandbox.records import (
    Appointment,
    Attendee,
    MeetingType,
    Provisional,
    Queue,
    Refused,
    Webhook,
    slot_lost,
)
from django_meetergo.sandbox.state import State
from django_meetergo.sandbox.working_hours import Busy, SlotQuery, Spot, epoch, find_spots, is_conflict_free

WEBHOOK_LIMIT = 6


@dataclass
class BookingRequest:
    """A booking request that has been read and found sound."""

    meeting_type: MeetingType
    start: datetime
    duration: int
    host_ids: list[str]  # in the order in which they should be asked
    attendee: Attendee
    channel: str
    location: str | None = None
    queue: Queue | None = None
    together: bool = False
    ignore_availability: bool = False
    skip_notifications: bool = False
    dto: dict[str, Any] = field(default_factory=dict)

    @property
    def end(self) -> datetime:
        return self.start + timedelta(minutes=self.duration)


class Bookings(State):
    """Books in which people write."""

    # Booking

    def spots(self, wish: SlotQuery, *, skip_notice: bool = False) -> list[Spot]:
        """Free starts, with the meeting type's notice and horizon applied to the wish."""
        with self.lock:
            self.lapse()
            return find_spots(self._clip(wish, skip_notice=skip_notice), self.users, self.calendar)

    def _clip(self, wish: SlotQuery, *, skip_notice: bool) -> SlotQuery:
        now = self.now()
        kind = wish.meeting_type
        first = now if skip_notice else now + timedelta(minutes=kind.notice)
        earliest, latest = (
            max(wish.earliest, epoch(first) + 1 if first.microsecond else epoch(first)),
            wish.latest,
        )
        if kind.horizon is not None:
            latest = min(latest, epoch(now + timedelta(minutes=kind.horizon)))
        return SlotQuery(**{**wish.__dict__, "earliest": earliest, "latest": max(earliest, latest)})

    def book(self, order: BookingRequest) -> Appointment | Provisional:
        """Take the slot, or hold it until somebody confirms. Raises ``Refused`` when it is gone."""
        with self.lock:
            self.lapse()
            host_ids = self._choose_hosts(order)
            stages = self._stages(order.meeting_type)
            if stages:
                return self._hold(order, host_ids, stages)
            return self._stand(order, host_ids)

    def _choose_hosts(self, order: BookingRequest) -> list[str]:
        if order.start <= self.now():
            raise slot_lost()
        wish = self._wish(order)
        if order.ignore_availability:
            return self._any_hosts(order, wish)
        start = epoch(order.start)
        spots = [] if order.start.microsecond else self.spots(wish)
        spot = next((spot for spot in spots if spot.start == start), None)
        if spot is None or (spot.taken or 0) >= order.meeting_type.spots:
            raise slot_lost()
        if order.together:
            return list(order.host_ids)
        return [host_id for host_id in order.host_ids if host_id in spot.host_ids][:1]

    def _any_hosts(self, order: BookingRequest, wish: SlotQuery) -> list[str]:
        full = self._seats_taken(order.meeting_type, order.start) >= order.meeting_type.spots
        if order.meeting_type.is_group and full:
            raise slot_lost()
        if order.together:
            return list(order.host_ids)
        start = epoch(order.start)
        free = [key for key in order.host_ids if is_conflict_free(wish, key, start, self.calendar)]
        return (free or order.host_ids)[:1]

    def _wish(self, order: BookingRequest) -> SlotQuery:
        start = epoch(order.start)
        return SlotQuery(
            meeting_type=order.meeting_type,
            duration=order.duration,
            earliest=start,
            latest=start + 1,
            host_ids=tuple(order.host_ids),
            together=order.together,
        )

    def _stages(self, kind: MeetingType) -> list[str]:
        """Who must still agree, in order: the host first, then the attendee."""
        company = {
            "requireHostConfirmation": self.settings.company_host_confirmation,
            "doubleOptIn": self.settings.company_double_opt_in,
        }
        own = {"requireHostConfirmation": kind.host_confirmation, "doubleOptIn": kind.double_opt_in}
        return [
            stage
            for stage, choice in own.items()
            if choice == "enabled" or (choice == "useCompanySettings" and company[stage])
        ]

    def _hold(self, order: BookingRequest, host_ids: list[str], stages: list[str]) -> Provisional:
        waiting = Provisional(
            id=str(uuid4()),
            type=stages[0],
            then_opt_in=len(stages) > 1,
            dto=order.dto,
            meeting_type_id=order.meeting_type.id,
            host_ids=host_ids,
            start=order.start,
            end=order.end,
            created_at=self.now(),
        )
        self.provisionals[waiting.id] = self.pending[waiting.id] = waiting
        self.orders[waiting.id] = order
        self._turn(order, host_ids)
        if self.settings.hold_pending:
            self.calendar.put(self._busy(waiting.id, order, appointment_id=None), host_ids)
        self._write_provisional("provisional_created", waiting)
        return waiting

    def _stand(self, order: BookingRequest, host_ids: list[str]) -> Appointment:
        if (group := self._group_at(order.meeting_type, order.start)) is not None:
            return self._join(group, order)
        appointment = self.make(order.meeting_type, host_ids, order.start, order.duration, [order.attendee])
        appointment.channel, appointment.location = order.channel, order.location
        self._turn(order, host_ids)
        self.enter(appointment)
        self._tell("appointment_created", appointment, event="booking_created", attendee=order.attendee)
        return appointment

    def _join(self, group: Appointment, order: BookingRequest) -> Appointment:
        group.attendees.append(order.attendee)
        group.touch(self.now())
        self._block(group)
        self._tell("attendee_added", group, event="booking_created", attendee=order.attendee)
        return group

    def _turn(self, order: BookingRequest, host_ids: list[str]) -> None:
        if order.queue is not None and not order.together and host_ids:
            order.queue.last_user_id = host_ids[0]

    @staticmethod
    def _busy(key: str, order: BookingRequest, *, appointment_id: str | None) -> Busy:
        kind = order.meeting_type
        return Busy(
            key=key,
            start=epoch(order.start),
            end=epoch(order.end),
            before=kind.buffer_before * 60,
            after=kind.buffer_after * 60,
            type_id=kind.id,
            appointment_id=appointment_id,
        )

    def _group_at(self, kind: MeetingType, start: datetime) -> Appointment | None:
        if not kind.is_group or kind.user_id is None:
            return None
        moment = epoch(start)
        for busy in self.calendar.between(kind.user_id, moment, moment):
            if busy.type_id == kind.id and busy.start == moment and busy.appointment_id:
                return self.appointments[busy.appointment_id]
        return None

    def _seats_taken(self, kind: MeetingType, start: datetime) -> int:
        if not kind.is_group or kind.user_id is None:
            return 0
        moment = epoch(start)
        near = self.calendar.between(kind.user_id, moment, moment)
        return sum(busy.seats for busy in near if busy.type_id == kind.id and busy.start == moment)

    # Waiting bookings

    def confirm(self, provisional_id: str) -> Appointment:
        """The attendee follows the link in the mail."""
        with self.lock:
            waiting = self._waiting(provisional_id)
            if waiting.type != "doubleOptIn":
                raise Refused(400, "This booking waits for its host")
            return self._settle(waiting)

    def approve(self, provisional_id: str) -> Appointment | Provisional:
        """The host says yes; the attendee may still have to confirm."""
        with self.lock:
            waiting = self._waiting(provisional_id)
            if waiting.type != "requireHostConfirmation":
                raise Refused(400, "This booking waits for its attendee")
            if waiting.then_opt_in:
                waiting.type, waiting.then_opt_in = "doubleOptIn", False
                self._write_provisional("provisional_approved", waiting)
                return waiting
            return self._settle(waiting)

    def decline(self, provisional_id: str, reason: str | None = None) -> Provisional:
        """The host says no."""
        with self.lock:
            waiting = self._waiting(provisional_id)
            waiting.reason = reason
            return self._end(waiting, "declined_by_host")

    def expire(self, provisional_id: str) -> Provisional:
        """Nobody answered in time."""
        with self.lock:
            return self._end(self._waiting(provisional_id), "expired")

    def lapse(self) -> None:
        """Expire every booking that has waited too long."""
        limit = self.now() - timedelta(hours=self.settings.provisional_hours)
        # Oldest first, so that a look at those who have waited longest is enough.
        while (
            waiting := next(iter(self.pending.values()), None)
        ) is not None and waiting.created_at <= limit:
            self._end(waiting, "expired")

    def _waiting(self, provisional_id: str) -> Provisional:
        self.lapse()
        waiting = self.provisionals.get(provisional_id)
        if waiting is None:
            raise Refused(404, "Provisional booking not found")
        if waiting.status != "pending":
            raise Refused(400, "Provisional booking is no longer pending")
        return waiting

    def _settle(self, waiting: Provisional) -> Appointment:
        order: BookingRequest = self.orders[waiting.id]
        self.calendar.take_out(waiting.id)
        wish, start = self._wish(order), epoch(order.start)
        if not all(is_conflict_free(wish, host_id, start, self.calendar) for host_id in waiting.host_ids):
            # Possible only when waiting bookings do not hold their slot.
            self._end(waiting, "expired")
            raise slot_lost()
        order.queue = None  # the host was chosen, and the turn taken, when the booking came in
        appointment = self._stand(order, waiting.host_ids)
        waiting.appointment_id = appointment.id
        self._end(waiting, "confirmed")
        return appointment

    def _end(self, waiting: Provisional, status: str) -> Provisional:
        waiting.status = status
        self.pending.pop(waiting.id, None)
        waiting.deleted_at = self.now()
        self.calendar.take_out(waiting.id)
        self._write_provisional(f"provisional_{status}", waiting)
        return waiting

    # Changing appointments

    def cancel(
        self,
        appointment: Appointment,
        *,
        source: str,
        by: str | None,
        reason: str | None = None,
        attendee_id: str | None = None,
        everyone: bool = False,
    ) -> Appointment:
        """Cancel an appointment, or take one attendee out of a group."""
        with self.lock:
            if appointment.is_cancelled:
                raise Refused(400, "Appointment is already cancelled")
            is_group = self.meeting_types[appointment.meeting_type_id].is_group
            if is_group and not everyone:
                return self._remove_attendee(appointment, attendee_id)
            now = self.now()
            appointment.is_cancelled = True
            appointment.cancel_source, appointment.cancel_by = source, by
            appointment.cancel_reason = reason
            appointment.cancel_at = appointment.touch(now)
            self.calendar.take_out(appointment.id)
            self._tell("appointment_cancelled", appointment, event="booking_cancelled", source=source)
            return appointment

    def _remove_attendee(self, appointment: Appointment, attendee_id: str | None) -> Appointment:
        if attendee_id is None:
            raise Refused(400, "Provide attendeeId or set cancelAll to true for group appointments")
        attendee = find_attendee(appointment, attendee_id)
        appointment.attendees.remove(attendee)
        appointment.touch(self.now())
        self._block(appointment)
        self._tell("attendee_removed", appointment, event="booking_cancelled", attendee=attendee)
        return appointment

    def move(
        self, appointment: Appointment, start: datetime, *, ignore_availability: bool = False
    ) -> datetime:
        """Give an appointment another start; answer the former one."""
        with self.lock:
            self._check_move(appointment, start, ignore_availability=ignore_availability)
            former, length = appointment.start, appointment.length
            self._unindex(appointment)
            appointment.start, appointment.end = start, start + length
            self._index(appointment)
            self._block(appointment)
            appointment.rescheduled_at = appointment.touch(self.now())
            appointment.reschedule_count += 1
            if self.settings.rotate_secret:
                appointment.secret = secrets.token_hex(10)
            self._tell(
                "appointment_rescheduled",
                appointment,
                event="booking_rescheduled",
                previousStart=print_instant(former),
            )
            return former

    def _check_move(self, appointment: Appointment, start: datetime, *, ignore_availability: bool) -> None:
        if appointment.is_cancelled:
            raise Refused(400, "Appointment is already cancelled")
        if appointment.start <= self.now():
            raise Refused(400, "Appointment is already over")
        if start <= self.now():
            raise slot_lost()
        if ignore_availability:
            return
        moment = epoch(start)
        wish = SlotQuery(
            meeting_type=self.meeting_types[appointment.meeting_type_id],
            duration=int(appointment.length.total_seconds() // 60),
            earliest=moment,
            latest=moment + 1,
            host_ids=tuple(appointment.host_ids),
            together=True,
            ignore=appointment.id,
            hide_groups=True,  # two groups are never merged
        )
        if start.microsecond or not self.spots(wish):
            raise slot_lost()

    def add_guest(self, appointment: Appointment, attendee_id: str, email: str) -> Appointment:
        """Let an attendee bring another person along."""
        with self.lock:
            attendee = find_attendee(appointment, attendee_id)
            attendee.guests.append(email)
            appointment.touch(self.now())
            self._tell("guest_added", appointment)
            return appointment

    def set_note(self, appointment: Appointment, note: str) -> Appointment:
        """Replace the host's note."""
        with self.lock:
            appointment.note = note
            appointment.touch(self.now())
            self._tell("note_changed", appointment)
            return appointment

    # Webhook endpoints

    def add_webhook(self, endpoint: str, event_types: list[str], description: str | None = None) -> Webhook:
        """Register an endpoint, if there are fewer than six."""
        with self.lock:
            if len(self.webhooks) >= WEBHOOK_LIMIT:
                raise Refused(406, "Maximum number of webhooks reached")
            webhook = Webhook(self._next_webhook_id, endpoint, event_types, description, self.now())
            self._next_webhook_id += 1
            self.webhooks[webhook.id] = webhook
            self.request_log.write("applied", change="webhook_created", webhookId=webhook.id)
            return webhook

    # Telling

    def _write_provisional(self, change: str, waiting: Provisional) -> None:
        attendee = waiting.dto.get("attendee") or {}
        self.request_log.write(
            "applied",
            change=change,
            provisionalBookingId=waiting.id,
            appointmentId=waiting.appointment_id,
            meetingTypeId=waiting.meeting_type_id,
            start=print_instant(waiting.start),
            hostIds=list(waiting.host_ids),
            emails=[attendee.get("email")],
            type=waiting.type,
        )


def find_attendee(appointment: Appointment, attendee_id: str) -> Attendee:
    """The attendee of an appointment with this id, or a refusal."""
    for attendee in appointment.attendees:
        if attendee.id == attendee_id:
            return attendee
    raise Refused(404, "Attendee not found")
