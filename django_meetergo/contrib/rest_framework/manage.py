"""An attendee's own appointment: whoever holds its token may see it, move it and give it up."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NoReturn
from zoneinfo import ZoneInfo

from django.conf import settings as django_settings
from django.utils import timezone as clock
from django.utils.translation import gettext as _
from rest_framework.response import Response

from django_meetergo import links, timezones
from django_meetergo.contrib.rest_framework import problems
from django_meetergo.contrib.rest_framework.base import (
    TOKEN,
    WITH_BODY,
    PublicView,
    build_header,
    build_responses,
    document,
    find_by_token,
    find_user,
)
from django_meetergo.contrib.rest_framework.booking import offer_alternatives
from django_meetergo.contrib.rest_framework.catalogue import HORIZON, SPAN, list_times, read_span
from django_meetergo.contrib.rest_framework.problems import Problem, invalid, unavailable
from django_meetergo.contrib.rest_framework.serializers import (
    POLL_SOON,
    AvailabilitySerializer,
    CancelSerializer,
    Document,
    ManagedSerializer,
    RescheduleSerializer,
    count_minutes,
    describe_booked,
    find_page,
)
from django_meetergo.exceptions import ChangeNotAllowed, InvalidRequest
from django_meetergo.models import Appointment, AppointmentChange, Attendee, MeetingType
from django_meetergo.services import polling
from django_meetergo.services.availability.slots import is_offered
from django_meetergo.services.changes.policy import apply_policy, is_group
from django_meetergo.services.changes.requests import cancel_appointment, reschedule_appointment
from django_meetergo.services.clients import build_client

Kind, State, Actor = AppointmentChange.Kind, AppointmentChange.State, AppointmentChange.Actor
RETRY_SECONDS = build_header(
    "Retry-After", "Seconds after which to look again.", 200, 202, 429, 503, kind=int
)


def find_attendee(token: str) -> Attendee:
    rows = Attendee.objects.select_related("appointment__meeting_type").defer("raw", "appointment__raw")
    return find_by_token(rows, token, salt=links.MANAGE_SALT)


def find_last_change(attendee: Attendee) -> AppointmentChange | None:
    """The newest change that concerns this attendee; in groups each has their own."""
    rows = attendee.appointment.changes.all()
    if is_group(attendee.appointment):
        rows = rows.filter(attendee=attendee)
    return rows.first()


def choose_state(attendee: Attendee, change: AppointmentChange | None, now: datetime) -> str:
    appointment = attendee.appointment
    if change is not None and change.is_open:
        return "changing"
    if appointment.is_cancelled or attendee.status == Attendee.Status.REMOVED:
        return "cancelled"
    if appointment.missing_since:
        return "missing"
    return "past" if appointment.end <= now else "upcoming"


def find_bookable_type(attendee: Attendee) -> MeetingType | None:
    meeting_type = attendee.appointment.meeting_type
    if meeting_type is None or not meeting_type.enabled or meeting_type.missing_since:
        return None
    return meeting_type


def describe(attendee: Attendee, change: AppointmentChange | None, now: datetime) -> dict[str, Any]:
    """What ``ManagedSerializer`` shows, but for the page's address."""
    appointment, meeting_type = attendee.appointment, attendee.appointment.meeting_type
    move = apply_policy(Kind.RESCHEDULE, attendee, now)
    give_up = apply_policy(Kind.CANCEL, attendee, now)
    is_free = change is None or not change.is_open
    until = [decision.until for decision in (move, give_up) if decision.allowed and decision.until]
    return {
        **describe_booked(attendee),
        "state": choose_state(attendee, change, now),
        "meeting_type": meeting_type.slug if meeting_type else None,
        "name": meeting_type.name if meeting_type else _("Your appointment"),
        "duration": count_minutes(appointment),
        "timezone": choose_zone(attendee).key,
        "first_name": attendee.first_name,
        "last_name": attendee.last_name,
        "email": attendee.email,
        "previous_start": appointment.previous_start,
        "may_reschedule": is_free and move.allowed and find_bookable_type(attendee) is not None,
        # While a move is open a cancel is accepted, and sent after it.
        "may_cancel": give_up.allowed and (is_free or change is None or change.kind != Kind.CANCEL),
        "may_until": min(until, default=None),
        "change": change,
    }


def choose_zone(attendee: Attendee) -> ZoneInfo:
    return timezones.choose_zone(attendee.timezone, django_settings.TIME_ZONE)


class ManageView(PublicView):
    """What shows one attendee's appointment."""

    throttle_scope = "meetergo-token"

    def show_attendee(self, attendee: Attendee, status: int = 200, **headers: str) -> Response:
        change = find_last_change(attendee)
        page = find_page(Document(context=self.get_context()), links.get_manage_path, attendee)
        if change is not None and change.is_open:
            headers["Retry-After"] = str(POLL_SOON)
        shown = {**describe(attendee, change, clock.now()), "page": page}
        return self.show(ManagedSerializer, shown, status=status, headers=headers)


class ManageDetail(ManageView):
    @document(
        operation_id="get_own_appointment",
        parameters=[TOKEN, RETRY_SECONDS],
        responses=build_responses({200: ManagedSerializer}, 404),
    )
    def get(self, request: Any, token: str) -> Response:
        """The appointment as it stands, and what may be done with it."""
        return self.show_attendee(find_attendee(token))


class ManageCheck(ManageView):
    @document(
        operation_id="check_own_appointment",
        parameters=[TOKEN, RETRY_SECONDS],
        request=None,
        responses=build_responses({200: ManagedSerializer}, 404),
    )
    def post(self, request: Any, token: str) -> Response:
        """Ask the service now how a change on its way is doing, if nobody has just done so."""
        change = find_last_change(find_attendee(token))
        polling.refresh_change_status(change=change, now=clock.now())
        return self.show_attendee(find_attendee(token))


class ManageAvailability(ManageView):
    throttle_scope = "meetergo-availability"

    @document(
        operation_id="list_free_times_to_move_to",
        parameters=[TOKEN, *SPAN],
        responses=build_responses({200: AvailabilitySerializer}, 404, 409, 422),
    )
    def get(self, request: Any, token: str) -> Response:
        """Times this appointment could be moved to: it does not stand in its own way."""
        attendee, now = find_attendee(token), clock.now()
        meeting_type = find_bookable_type(attendee)
        if meeting_type is None:
            raise Problem(problems.CHANGE_NOT_ALLOWED, reason="unavailable")
        appointment = attendee.appointment
        span = read_span(request.query_params, now)
        found = list_times(meeting_type, count_minutes(appointment), span, now, moving=appointment.remote_id)
        found["times"] = [free for free in found["times"] if free["start"] != appointment.start]
        return self.show(AvailabilitySerializer, found)


# Changing it


class ManageCancel(ManageView):
    throttle_scope = "meetergo-change"

    @document(
        operation_id="cancel_own_appointment",
        parameters=[TOKEN, RETRY_SECONDS],
        request=CancelSerializer,
        responses=build_responses({200: ManagedSerializer, 202: ManagedSerializer}, *WITH_BODY, 404, 409),
    )
    def post(self, request: Any, token: str) -> Response:
        """Give the appointment up; sent twice, it is cancelled once. 202: on its way, look again."""
        attendee = find_attendee(token)
        wish = self.read(CancelSerializer)
        change = request_cancel(
            attendee.appointment,
            attendee=attendee,
            reason=wish["reason"],
            by=Actor.ATTENDEE,
            user=find_user(request),
        )
        return self.show_attendee(find_attendee(token), 202 if change.is_open else 200)


class ManageReschedule(ManageView):
    throttle_scope = "meetergo-change"

    @document(
        operation_id="reschedule_own_appointment",
        parameters=[TOKEN, RETRY_SECONDS],
        request=RescheduleSerializer,
        responses=build_responses({200: ManagedSerializer, 202: ManagedSerializer}, *WITH_BODY, 404, 409),
    )
    def post(self, request: Any, token: str) -> Response:
        """Move the appointment; its length stays, and so does its old time if the new one is lost."""
        attendee = find_attendee(token)
        start = self.read(RescheduleSerializer)["start"]
        check_move(attendee, start, clock.now())
        change = request_move(
            attendee.appointment, start, attendee=attendee, by=Actor.ATTENDEE, user=find_user(request)
        )
        return self.show_attendee(find_attendee(token), 202 if change.is_open else 200)


def check_move(attendee: Attendee, start: datetime, now: datetime) -> None:
    """Raise what can be known before anything is asked for: state, policy, and the times on offer."""
    appointment, meeting_type = attendee.appointment, find_bookable_type(attendee)
    decision = apply_policy(Kind.RESCHEDULE, attendee, now)
    if not decision.allowed or meeting_type is None:
        raise Problem(problems.CHANGE_NOT_ALLOWED, reason=decision.reason or "unavailable")
    if not now < start <= now + HORIZON or start == appointment.start:
        return  # refused at its field when the move is asked for
    offered = is_offered(
        meeting_type=meeting_type,
        start=start,
        duration=count_minutes(appointment),
        moving=appointment.remote_id,
        client=build_client(appointment.connection, "view"),
        now=now,
    )
    if offered is False:
        raise lost(appointment, start, attendee)


def request_cancel(appointment: Appointment, **options: Any) -> AppointmentChange:
    """Cancel through the service; raises what became of it unless it is done or on its way."""
    try:
        change = cancel_appointment(
            appointment=appointment,
            client=build_client(appointment.connection, "write"),
            now=clock.now(),
            **options,
        )
    except (ChangeNotAllowed, InvalidRequest) as error:
        refuse(error)
    return check_change(change)


def request_move(appointment: Appointment, start: datetime, **options: Any) -> AppointmentChange:
    """Move through the service; raises what became of it unless it is done or on its way."""
    now = clock.now()
    if start > now + HORIZON:
        raise invalid("start", _("This is too far ahead."))
    try:
        change = reschedule_appointment(
            appointment=appointment,
            start=start,
            client=build_client(appointment.connection, "write"),
            now=now,
            **options,
        )
    except (ChangeNotAllowed, InvalidRequest) as error:
        refuse(error)
    return check_change(change)


def refuse(error: ChangeNotAllowed | InvalidRequest) -> NoReturn:
    if isinstance(error, InvalidRequest):
        raise invalid(error.field, error) from None
    if error.reason == "change_in_progress":
        raise Problem(problems.CHANGE_IN_PROGRESS) from None
    raise Problem(problems.CHANGE_NOT_ALLOWED, reason=error.reason or "not_allowed") from None


def check_change(change: AppointmentChange) -> AppointmentChange:
    """The change, unless it was refused."""
    if change.state != State.REFUSED:
        return change
    if change.outcome == "slot_taken" and change.target_start:
        raise lost(change.appointment, change.target_start, change.attendee)
    if change.outcome == "unreachable":
        raise unavailable()
    raise Problem(problems.CHANGE_REFUSED)


def lost(appointment: Appointment, start: datetime, attendee: Attendee | None) -> Problem:
    """The new time is taken; the old one stands. Alternatives are by the calendar of whoever asked."""
    if appointment.meeting_type is None:
        return Problem(problems.SLOT_TAKEN, alternatives=[])
    offer = offer_alternatives(
        appointment.meeting_type,
        start,
        count_minutes(appointment),
        choose_zone(attendee) if attendee else timezones.choose_zone(django_settings.TIME_ZONE),
        clock.now(),
        moving=appointment.remote_id,
        current_start=appointment.start,
    )
    return Problem(problems.SLOT_TAKEN, **offer)
