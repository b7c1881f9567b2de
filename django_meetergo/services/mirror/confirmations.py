"""Write the appointment and attendee that the answer to a booking names."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django_meetergo.models import (
    Appointment,
    Attendee,
    Booking,
)
from django_meetergo.remote.payloads import (
    AppointmentDocument,
    BookingConfirmed,
)
from django_meetergo.services.events import record_events
from django_meetergo.services.matching import find_attendee_id, parse_stored
from django_meetergo.services.mirror.appointments import build_booked_event, record_secret
from django_meetergo.services.mirror.erasure import BLANK_PERSON, find_erased


def record_confirmation(*, booking: Booking, reply: BookingConfirmed, now: datetime) -> Attendee:
    """Store the appointment that an answer names, and return the booking's attendee in it.

    The answer names an id and a secret only. The other columns hold what was requested until a re-read.
    """
    meeting_type = booking.meeting_type
    appointment, created = Appointment.objects.get_or_create(
        connection=booking.connection,
        remote_id=reply.appointment_id,
        defaults={
            "meeting_type": meeting_type,
            "start": booking.start,
            "end": booking.start + timedelta(minutes=booking.duration),
            "channel": booking.channel,
            "location": booking.location,
            "secret": reply.secret,
            "read_by": meeting_type.reader,
        },
    )
    if created and meeting_type.only_host_id:
        appointment.hosts.set(meeting_type.hosts.filter(remote_id=meeting_type.only_host_id))
    if reply.secret and appointment.secret != reply.secret:
        record_secret(appointment=appointment, secret=reply.secret)
    return record_attendee_of_booking(booking=booking, appointment=appointment, now=now)


def record_attendee_of_booking(
    *,
    booking: Booking,
    appointment: Appointment,
    now: datetime,
    document: AppointmentDocument | None = None,
) -> Attendee:
    """Return the booking's attendee in an appointment that is certainly the booking's.

    ``document`` is the appointment as it was just stored, by default the stored one. When it does not show
    which attendee made the booking, a new row without a remote id is added.
    """
    # The lock keeps a re-read of the same appointment from adding the same attendee at the same time.
    appointment = Appointment.objects.select_for_update().get(pk=appointment.pk)
    document = document or parse_stored(appointment)
    attendee_id = find_attendee_id(booking, document) if document else ""
    rows = appointment.attendees.filter(remote_id=attendee_id, booking=None)
    attendee = rows.first() if attendee_id else None
    if attendee is None:
        attendee = Attendee.objects.create(
            appointment=appointment,
            connection=booking.connection,
            **build_person(booking),
        )
    if not appointment.is_cancelled:
        record_events([build_booked_event(attendee, appointment=appointment, now=now)])
    return attendee


def build_person(booking: Booking) -> dict[str, Any]:
    """Return the attendee's columns from the booking; blank when the person was erased meanwhile."""
    if find_erased(booking.connection, [booking.email]):
        return dict(BLANK_PERSON)
    return {name: getattr(booking, name) for name in PERSON_COLUMNS}


PERSON_COLUMNS = (
    "first_name", "last_name", "email", "phone", "company", "timezone", "language", "custom_fields",
)  # fmt: skip
