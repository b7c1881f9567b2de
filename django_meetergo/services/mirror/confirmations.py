"""Write what the answer to a booking request tells."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django_meetergo.models import (
    Appointment,
    Attendee,
    Booking,
)
from django_meetergo.remote.payloads import (
    BookingConfirmed,
)
from django_meetergo.services.events import record_events
from django_meetergo.services.mirror.appointments import build_booked_event, record_secret
from django_meetergo.services.mirror.erasure import BLANK_PERSON, find_erased


def record_confirmation(*, booking: Booking, evidence: BookingConfirmed, now: datetime) -> Attendee:
    """Write the appointment an answer names. All but the id is our own wish until it has been read."""
    meeting_type = booking.meeting_type
    appointment, created = Appointment.objects.get_or_create(
        connection=booking.connection,
        remote_id=evidence.appointment_id,
        defaults={
            "meeting_type": meeting_type,
            "start": booking.start,
            "end": booking.start + timedelta(minutes=booking.duration),
            "channel": booking.channel,
            "location": booking.location,
            "secret": evidence.secret,
        },
    )
    if created and meeting_type.only_host_id:
        appointment.hosts.set(meeting_type.hosts.filter(remote_id=meeting_type.only_host_id))
    if evidence.secret and appointment.secret != evidence.secret:
        record_secret(appointment=appointment, secret=evidence.secret)
    return record_attendee_of_booking(booking=booking, appointment=appointment, now=now)


def record_attendee_of_booking(*, booking: Booking, appointment: Appointment, now: datetime) -> Attendee:
    """The attendee of this appointment who made this booking; a new row until meetergo names one."""
    # The lock keeps a re-read of the same appointment from adding the same person beside us.
    Appointment.objects.select_for_update().get(pk=appointment.pk)
    own = appointment.attendees.filter(email_folded=booking.email_folded, booking=None)
    attendee = own.order_by("-pk").first()
    if attendee is None:
        attendee = Attendee.objects.create(
            appointment=appointment,
            connection=booking.connection,
            **describe_person(booking),
        )
    if not appointment.is_cancelled:
        record_events([build_booked_event(attendee, appointment=appointment, now=now)])
    return attendee


def describe_person(booking: Booking) -> dict[str, Any]:
    """The attendee's columns as the booking knows them; blank for somebody who was erased meanwhile."""
    if find_erased(booking.connection, [booking.email]):
        return dict(BLANK_PERSON)
    return {name: getattr(booking, name) for name in PERSON_COLUMNS}


PERSON_COLUMNS = (
    "first_name", "last_name", "email", "phone", "company", "timezone", "language", "custom_fields",
)  # fmt: skip
