"""Write the appointment and attendee that the answer to a booking names."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django_meetergo.lookups import find_one
from django_meetergo.models import Appointment, Attendee, Booking
from django_meetergo.remote.payloads import AppointmentDocument, BookingConfirmed
from django_meetergo.services.events import record_events
from django_meetergo.services.matching import find_attendee_id, parse_stored
from django_meetergo.services.mirror.appointments import build_booked_event, record_secret
from django_meetergo.services.mirror.erasure import BLANK_PERSON, find_erased


def record_confirmation(
    *, booking: Booking, reply: BookingConfirmed, appointment: Appointment | None, now: datetime
) -> Attendee:
    """Store the appointment that an answer names, and return the booking's attendee in it.

    ``appointment`` is its row, locked, if there is one. The answer names an id and a secret only. The other
    columns hold what was requested until a re-read.
    """
    if appointment is None:
        appointment = add_appointment(booking, reply)
    elif reply.secret and appointment.secret != reply.secret:
        record_secret(appointment=appointment, secret=reply.secret)
    return record_attendee_of_booking(booking=booking, appointment=appointment, now=now)


def add_appointment(booking: Booking, reply: BookingConfirmed) -> Appointment:
    """Insert the appointment. Raises IntegrityError if another worker inserts it at the same time."""
    meeting_type = booking.meeting_type
    appointment = Appointment.objects.create(
        connection=booking.connection,
        remote_id=reply.appointment_id,
        meeting_type=meeting_type,
        start=booking.start,
        end=booking.end,
        channel=booking.channel,
        location=booking.location,
        secret=reply.secret,
        read_by=meeting_type.reader,
    )
    if meeting_type.only_host_id:
        hosts = meeting_type.hosts.filter(remote_id=meeting_type.only_host_id).order_by()
        link = Appointment.hosts.through
        link.objects.bulk_create(
            link(appointment=appointment, host_id=pk) for pk in hosts.values_list("pk", flat=True)
        )
    return appointment


def record_attendee_of_booking(
    *,
    booking: Booking,
    appointment: Appointment,
    now: datetime,
    document: AppointmentDocument | None = None,
) -> Attendee:
    """Return the booking's attendee in an appointment that is certainly the booking's.

    The caller holds the appointment locked, so that a re-read of it cannot add the same attendee at the same
    time. ``document`` is the appointment as it was just stored, by default the stored one. When it does not
    show which attendee made the booking, a new row without a remote id is added. Nothing of the booking is
    written for a person who was erased meanwhile.
    """
    document = document or parse_stored(appointment)
    attendee_id = find_attendee_id(booking, document) if document else ""
    rows = appointment.attendees.filter(remote_id=attendee_id, booking=None)
    attendee = find_one(rows) if attendee_id else None
    is_erased = bool(find_erased([booking.email]))
    if attendee is None:
        columns = BLANK_PERSON if is_erased else {**build_owner(booking), **build_person(booking)}
        attendee = Attendee.objects.create(appointment=appointment, connection=booking.connection, **columns)
    elif not is_erased:
        answers = {"custom_fields": booking.custom_fields} if booking.custom_fields else {}
        Attendee.objects.filter(pk=attendee.pk).update(**build_owner(booking), **answers)
    if not appointment.is_cancelled:
        record_events([build_booked_event(attendee, appointment=appointment, now=now)])
    return attendee


def build_owner(booking: Booking) -> dict[str, Any]:
    """Return the columns of the user and the object of the site that a booking belongs to."""
    return {name: getattr(booking, name) for name in ("user_id", "subject_type_id", "subject_id")}


def build_person(booking: Booking) -> dict[str, Any]:
    """Return the attendee's columns from the booking."""
    return {name: getattr(booking, name) for name in PERSON_COLUMNS}


PERSON_COLUMNS = (
    "first_name", "last_name", "email", "phone", "company", "timezone", "language", "custom_fields",
)  # fmt: skip
