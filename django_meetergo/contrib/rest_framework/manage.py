"""An attendee's own appointment. Whoever holds its token may see, reschedule and cancel it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.utils import timezone as clock
from django.utils.translation import gettext as _
from rest_framework.response import Response

from django_meetergo import links
from django_meetergo.contrib.rest_framework import examples, problems
from django_meetergo.contrib.rest_framework.availability import (
    DAY_RANGE,
    HORIZON,
    describe_availability,
    read_day_range,
)
from django_meetergo.contrib.rest_framework.base import PublicView, get_by_token
from django_meetergo.contrib.rest_framework.changes import (
    build_not_allowed,
    build_slot_taken,
    choose_zone,
    request_change,
    request_reschedule,
)
from django_meetergo.contrib.rest_framework.operations import (
    CHANGE,
    TOKEN,
    WITH_BODY,
    describe_operation,
)
from django_meetergo.contrib.rest_framework.serializers.appointments import (
    CancelSerializer,
    ManagedSerializer,
    RescheduleSerializer,
)
from django_meetergo.contrib.rest_framework.serializers.base import (
    ApiSerializer,
    build_page_url,
)
from django_meetergo.contrib.rest_framework.serializers.bookings import POLL_SOON, describe_booked
from django_meetergo.contrib.rest_framework.serializers.meeting_types import AvailabilitySerializer
from django_meetergo.models import AppointmentChange, Attendee, MeetingType
from django_meetergo.services import polling
from django_meetergo.services.availability.slots import is_offered
from django_meetergo.services.changes.policy import apply_policy, find_allowed_changes
from django_meetergo.services.changes.queue import find_last_change
from django_meetergo.services.changes.requests import cancel_appointment, find_same_reschedule
from django_meetergo.services.clients import build_client
from django_meetergo.visitors import get_user

Kind, Actor = AppointmentChange.Kind, AppointmentChange.Actor


def get_attendee(token: str) -> Attendee:
    rows = Attendee.objects.select_related("appointment__meeting_type").defer("raw", "appointment__raw")
    return get_by_token(rows, token, salt=links.MANAGE_SALT)


def find_bookable_type(attendee: Attendee) -> MeetingType | None:
    """Return the appointment's meeting type if it can still be booked; else None."""
    meeting_type = attendee.appointment.meeting_type
    if meeting_type is None or not meeting_type.is_bookable:
        return None
    return meeting_type


def describe_managed(attendee: Attendee, change: AppointmentChange | None, now: datetime) -> dict[str, Any]:
    """Return what ``ManagedSerializer`` shows, without ``page``."""
    appointment, meeting_type = attendee.appointment, attendee.appointment.meeting_type
    allowed = find_allowed_changes(attendee, change, now)
    return {
        **describe_booked(attendee),
        "state": attendee.get_state(now, is_changing=change is not None and change.is_open),
        "meeting_type": meeting_type.slug if meeting_type else None,
        "name": meeting_type.display_name if meeting_type else _("Your appointment"),
        "duration": appointment.minutes,
        "timezone": choose_zone(attendee).key,
        "first_name": attendee.first_name,
        "last_name": attendee.last_name,
        "email": attendee.email,
        "previous_start": appointment.previous_start,
        "may_reschedule": allowed.may_reschedule,
        "may_cancel": allowed.may_cancel,
        "may_until": allowed.until,
        "change": change,
    }


class ManageView(PublicView):
    """A view that shows one attendee's appointment."""

    throttle_scope = "meetergo-token"

    def show_attendee(self, attendee: Attendee, status: int = 200, **headers: str) -> Response:
        change = find_last_change(attendee)
        serializer = ApiSerializer(context=self.get_serializer_context())
        if change is not None and change.is_open:
            headers["Retry-After"] = str(POLL_SOON)
        shown = {
            **describe_managed(attendee, change, clock.now()),
            "page": build_page_url(serializer, links.get_manage_path, attendee),
        }
        return self.build_response(ManagedSerializer, shown, status=status, headers=headers)


class ManageDetail(ManageView):
    @describe_operation(
        "get_own_appointment",
        "Show the attendee's appointment",
        {200: ManagedSerializer},
        problems.NOT_FOUND,
        parameters=[TOKEN],
        retry_after=[200],
    )
    def get(self, request: Any, token: str) -> Response:
        """Show the appointment, and which changes are allowed until when."""
        return self.show_attendee(get_attendee(token))


class ManageCheck(ManageView):
    @describe_operation(
        "check_own_appointment",
        "Read a change in progress from meetergo",
        {200: ManagedSerializer},
        problems.NOT_FOUND,
        parameters=[TOKEN],
        retry_after=[200],
        request=None,
    )
    def post(self, request: Any, token: str) -> Response:
        """Read a change in progress from meetergo, at most every few seconds, and show the appointment."""
        change = find_last_change(get_attendee(token))
        polling.refresh_change_status(change=change, now=clock.now())
        return self.show_attendee(get_attendee(token))


class ManageAvailability(ManageView):
    throttle_scope = "meetergo-availability"

    @describe_operation(
        "list_free_times_to_move_to",
        "List times to reschedule to",
        {200: AvailabilitySerializer},
        problems.NOT_FOUND,
        problems.CHANGE_NOT_ALLOWED,
        problems.INVALID,
        parameters=[TOKEN, *DAY_RANGE],
    )
    def get(self, request: Any, token: str) -> Response:
        """List times to which the appointment can be rescheduled. Its own time does not block them."""
        attendee, now = get_attendee(token), clock.now()
        meeting_type = find_bookable_type(attendee)
        if meeting_type is None:
            raise build_not_allowed("unavailable")
        appointment = attendee.appointment
        days = read_day_range(request.query_params, now)
        shown = describe_availability(
            meeting_type, appointment.minutes, days, now, moving=appointment.remote_id
        )
        shown["times"] = [slot for slot in shown["times"] if slot["start"] != appointment.start]
        return self.build_response(AvailabilitySerializer, shown)


# Changes


class ManageCancel(ManageView):
    throttle_scope = "meetergo-change"

    @describe_operation(
        "cancel_own_appointment",
        "Cancel the attendee's appointment",
        {200: ManagedSerializer, 202: ManagedSerializer},
        *WITH_BODY,
        problems.NOT_FOUND,
        problems.TOO_MANY_CHANGES,
        *CHANGE,
        parameters=[TOKEN],
        retry_after=[200, 202],
        request=CancelSerializer,
        examples=examples.CANCEL,
    )
    def post(self, request: Any, token: str) -> Response:
        """Cancel the appointment. 202: in progress, read it again. Sent again, it shows the present state."""
        attendee = get_attendee(token)
        data = self.validate_body(CancelSerializer)
        change = request_change(
            cancel_appointment,
            attendee.appointment,
            attendee=attendee,
            reason=data.get("reason", ""),
            by=Actor.ATTENDEE,
            user=get_user(request),
        )
        return self.show_attendee(get_attendee(token), 202 if change.is_open else 200)


class ManageReschedule(ManageView):
    throttle_scope = "meetergo-change"

    @describe_operation(
        "reschedule_own_appointment",
        "Reschedule the attendee's appointment",
        {200: ManagedSerializer, 202: ManagedSerializer},
        *WITH_BODY,
        problems.NOT_FOUND,
        problems.SLOT_TAKEN,
        problems.TOO_MANY_CHANGES,
        *CHANGE,
        parameters=[TOKEN],
        retry_after=[200, 202],
        request=RescheduleSerializer,
        examples=examples.RESCHEDULE,
    )
    def post(self, request: Any, token: str) -> Response:
        """Reschedule the appointment; the duration stays. If the new time is taken, the present one stays.

        Sent again, it shows the present state.
        """
        attendee = get_attendee(token)
        start = self.validate_body(RescheduleSerializer)["start"]
        if first := find_same_reschedule(attendee.appointment, start):
            return self.show_attendee(attendee, 202 if first.is_open else 200)
        ensure_can_reschedule(attendee, start, clock.now())
        change = request_reschedule(
            attendee.appointment, start, attendee=attendee, by=Actor.ATTENDEE, user=get_user(request)
        )
        return self.show_attendee(get_attendee(token), 202 if change.is_open else 200)


def ensure_can_reschedule(attendee: Attendee, start: datetime, now: datetime) -> None:
    """Raise a problem if the policy, the meeting type or the free times forbid this reschedule."""
    appointment, meeting_type = attendee.appointment, find_bookable_type(attendee)
    decision = apply_policy(Kind.RESCHEDULE, attendee, now)
    if not decision.allowed:
        raise build_not_allowed(decision.reason, decision.message)
    if meeting_type is None:
        raise build_not_allowed("unavailable")
    if not now < start <= now + HORIZON or start == appointment.start:
        return  # request_reschedule refuses it and names the field
    offered = is_offered(
        meeting_type=meeting_type,
        start=start,
        duration=appointment.minutes,
        moving=appointment.remote_id,
        client=build_client(appointment.reader, "view"),
        now=now,
    )
    if offered is False:
        raise build_slot_taken(appointment, start, attendee)
