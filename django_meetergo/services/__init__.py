"""The functions a site calls from its own code.

Each fills in ``client`` (one that acts with the credential of the meeting type's connection) and ``now`` (the
present moment) when they are not given; tests pass their own. Everything in the modules below takes both.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.utils import timezone

from django_meetergo.conf import DEFAULT_CONNECTION
from django_meetergo.exceptions import InvalidRequest, MeetingTypeUnavailable
from django_meetergo.models import (
    Appointment,
    AppointmentChange,
    Attendee,
    Booking,
    Host,
    MeetingType,
    SyncRun,
)
from django_meetergo.remote.client import MeetergoClient
from django_meetergo.services.availability import slots
from django_meetergo.services.availability.store import SlotList
from django_meetergo.services.booking import book
from django_meetergo.services.booking.book import AttendeeData
from django_meetergo.services.changes import requests
from django_meetergo.services.clients import build_client, ensure_client_of, find_client
from django_meetergo.services.instants import validate_instant
from django_meetergo.services.sync import appointments
from django_meetergo.visitors import get_account

__all__ = [
    "AttendeeData",
    "book_appointment",
    "cancel_appointment",
    "create_one_time_link",
    "handoff_appointment",
    "list_slots",
    "reschedule_appointment",
    "sync_appointments",
]


def list_slots(
    *,
    meeting_type: MeetingType | str,
    start: datetime,
    end: datetime,
    duration: int | None = None,
    client: MeetergoClient | None = None,
    now: datetime | None = None,
) -> SlotList:
    """Return the free slots of a meeting type between two aware datetimes, soonest first.

    ``meeting_type`` is an instance or a slug, ``duration`` is in minutes (default: the meeting type's own).
    The result holds ``times`` (each with an aware ``start`` in UTC and ``seats_left``, None where seats are
    not counted), ``as_of``, ``stale`` and ``failed``. It costs no call while the cached documents are fresh.

    Never raises for a service that does not answer: ``failed`` says so. Raises ``InvalidRequest`` for an
    unknown slug and for a datetime without a time zone.

    ::

        found = list_slots(meeting_type="intro-call", start=now, end=now + timedelta(days=7))
        starts = [slot.start for slot in found.times]
    """
    meeting_type = _get_meeting_type(meeting_type)
    validate_instant("start", start)
    validate_instant("end", end)
    return slots.list_slots(
        meeting_type=meeting_type,
        start=start,
        end=end,
        duration=duration,
        client=_choose_client(client, meeting_type.reader, "view"),
        now=now or timezone.now(),
    )


def book_appointment(
    *,
    meeting_type: MeetingType | str,
    start: datetime,
    attendee: AttendeeData,
    duration: int | None = None,
    channel: str = "",
    location: str = "",
    custom_fields: Mapping[str, object] | None = None,
    skip_notifications: bool = False,
    user: AbstractBaseUser | AnonymousUser | None = None,
    subject: models.Model | None = None,
    idempotency_key: str = "",
    send: bool = True,
    client: MeetergoClient | None = None,
    now: datetime | None = None,
) -> Booking:
    """Book a slot and return the stored booking, whose ``state`` and ``reason`` say how it went.

    ``meeting_type`` is an instance or a slug, ``start`` an aware datetime that the service offers and
    ``duration`` is in minutes. ``subject`` ties the booking to an object of the site, ``user`` to an account.
    A repeat with the same ``idempotency_key`` returns the first booking. ``skip_notifications`` asks the
    service to send no e-mail.

    With ``send=True`` the call waits for the service and must not run inside a transaction. With
    ``send=False`` the row joins the caller's transaction, and the background workers send it after commit.

    Raises, before anything is stored or sent: ``InvalidRequest`` (``field`` names the argument),
    ``MeetingTypeUnavailable``, ``StartNotOffered``, ``BookingAlreadyOpen``, ``IdempotencyKeyReused``. After
    that nothing is raised for what the service answers: a lost answer is state ``unknown`` and is reconciled.

    ::

        booking = book_appointment(
            meeting_type="intro-call",
            start=starts[0],
            attendee=AttendeeData(email="jane@example.com", first_name="Jane"),
        )
        if booking.state == Booking.State.CONFIRMED:
            ...
    """
    meeting_type = _get_meeting_type(meeting_type)
    if not meeting_type.is_connected:
        raise MeetingTypeUnavailable(f"The settings no longer have the connection of {meeting_type.name}.")
    return book.submit_request(
        book.BookingRequest(
            meeting_type=meeting_type,
            start=start,
            attendee=attendee,
            duration=duration,
            channel=channel,
            location=location,
            custom_fields=custom_fields,
            skip_notifications=skip_notifications,
            user=get_account(user),
            subject=subject,
            idempotency_key=idempotency_key,
        ),
        send=send,
        client=_choose_client(client, meeting_type.reader, "write"),
        now=now or timezone.now(),
    )


def cancel_appointment(
    *,
    appointment: Appointment,
    attendee: Attendee | None = None,
    reason: str = "",
    cancel_all: bool = False,
    user: AbstractBaseUser | AnonymousUser | None = None,
    send: bool = True,
    client: MeetergoClient | None = None,
    now: datetime | None = None,
) -> AppointmentChange:
    """Cancel an appointment as its host and return the stored change.

    In a group name the ``attendee`` who leaves, or pass ``cancel_all=True``. ``reason`` is shown to the
    attendee. A repeat while the first call is on its way, or after it was carried out, returns the first
    change. With ``send=False`` the background workers send it.

    Raises ``InvalidRequest`` and ``ChangeNotAllowed``, whose ``reason`` says why, before anything is stored
    or sent.

    ::

        change = cancel_appointment(appointment=appointment, reason="The practice is closed.")
        change.state == AppointmentChange.State.DONE
    """
    return requests.cancel_appointment(
        appointment=appointment,
        attendee=attendee,
        reason=reason,
        cancel_all=cancel_all,
        user=get_account(user),
        send=send,
        client=_choose_client_of(client, appointment),
        now=now or timezone.now(),
    )


def reschedule_appointment(
    *,
    appointment: Appointment,
    start: datetime,
    user: AbstractBaseUser | AnonymousUser | None = None,
    send: bool = True,
    client: MeetergoClient | None = None,
    now: datetime | None = None,
) -> AppointmentChange:
    """Give an appointment another start as its host and return the stored change; its length stays.

    ``start`` is an aware datetime. When the new slot has been taken meanwhile, the change ends ``refused``
    with outcome ``slot_taken`` and the old time stays. With ``send=False`` the background workers send it.

    Raises ``InvalidRequest`` and ``ChangeNotAllowed``, whose ``reason`` says why, before anything is stored
    or sent.

    ::

        change = reschedule_appointment(appointment=appointment, start=starts[1])
    """
    return requests.reschedule_appointment(
        appointment=appointment,
        start=start,
        user=get_account(user),
        send=send,
        client=_choose_client_of(client, appointment),
        now=now or timezone.now(),
    )


def handoff_appointment(
    *,
    appointment: Appointment,
    host: Host,
    user: AbstractBaseUser | AnonymousUser | None = None,
    send: bool = True,
    client: MeetergoClient | None = None,
    now: datetime | None = None,
) -> AppointmentChange:
    """Hand an appointment over to another host and return the stored change; its time stays.

    When that host is not free, the change ends ``refused`` with outcome ``slot_taken`` and the appointment
    keeps its hosts. With ``send=False`` the background workers send it.

    Raises ``InvalidRequest`` and ``ChangeNotAllowed``, whose ``reason`` says why, before anything is stored
    or sent.

    ::

        ben = Host.objects.get(email="ben@clinic.example")
        change = handoff_appointment(appointment=appointment, host=ben)
    """
    return requests.handoff_appointment(
        appointment=appointment,
        host=host,
        user=get_account(user),
        send=send,
        client=_choose_client_of(client, appointment),
        now=now or timezone.now(),
    )


def create_one_time_link(*, meeting_type: MeetingType | str, client: MeetergoClient | None = None) -> str:
    """Create a link on which one person can book this meeting type once, at meetergo; return its address.

    ``meeting_type`` is an instance or a slug. An unused link lapses after 30 days, also one whose answer was
    lost. Each call creates another link, so do not call it while rendering a page.

    Raises ``InvalidRequest`` for an unknown slug, ``MeetingTypeUnavailable``, and ``RemoteError`` when
    meetergo does not answer.

    ::

        address = create_one_time_link(meeting_type="intro-call")
    """
    meeting_type = _get_meeting_type(meeting_type)
    client = _choose_client(client, meeting_type.reader, "write")
    if not meeting_type.is_bookable:
        raise MeetingTypeUnavailable(f"{meeting_type.name} cannot be booked at the moment.")
    return client.create_one_time_link(meeting_type.remote_id)


def sync_appointments(
    *,
    connection: str = DEFAULT_CONNECTION,
    kind: str = SyncRun.Kind.NEAR,
    silent: bool = False,
    client: MeetergoClient | None = None,
    now: datetime | None = None,
) -> SyncRun:
    """Bring the mirror of one connection up to date and return the run: done, failed, or still open.

    ``kind`` is ``near`` (from yesterday to 60 days ahead) or ``full`` (everything). An interrupted run
    resumes where it stopped; it stays open while another process works on it. With ``silent=True`` nothing
    is signalled of appointments that the site does not know yet.

    ::

        run = sync_appointments(kind="full", silent=True)
        print(run.get_state_display(), run.written)
    """
    return appointments.sync_appointments(
        connection=connection,
        kind=kind,
        silent=silent,
        client=_choose_client(client, connection, "sync"),
        now=now or timezone.now(),
    )


def _choose_client(given: MeetergoClient | None, connection: str, priority: str) -> MeetergoClient:
    """Return the given client, or a new one. Raises InvalidRequest for a client of another connection."""
    if given is None:
        return build_client(connection, priority)
    ensure_client_of(given, connection)
    return given


def _choose_client_of(given: MeetergoClient | None, appointment: Appointment) -> MeetergoClient | None:
    """Return the given client, or a new one; None where the service refuses, for want of a connection."""
    if given is None or not appointment.is_connected:
        return find_client(appointment.reader, "write")
    return _choose_client(given, appointment.reader, "write")


def _get_meeting_type(given: MeetingType | str) -> MeetingType:
    """Return the meeting type of an instance or a slug."""
    if isinstance(given, MeetingType):
        return given
    found = MeetingType.objects.filter(slug=given).first()
    if found is None:
        raise InvalidRequest(
            f"There is no meeting type with the slug {given!r}. "
            "Run manage.py meetergo_sync, or correct the slug.",
            field="meeting_type",
        )
    return found
