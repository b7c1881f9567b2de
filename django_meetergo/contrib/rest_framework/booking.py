"""Book, and see what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NoReturn
from zoneinfo import ZoneInfo

from django.db.models import Model
from django.utils import timezone as clock
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import Throttled
from rest_framework.response import Response

from django_meetergo import links
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
from django_meetergo.contrib.rest_framework.booking_form import (
    IDEMPOTENCY_HEADER,
    IDEMPOTENCY_PATTERN,
    ApiBookingForm,
    build_form,
    fold_key,
    list_form_errors,
    read_key,
    validate_request,
)
from django_meetergo.contrib.rest_framework.catalogue import (
    HORIZON,
    check_bookable,
    describe_times,
    find_meeting_type,
    read_zone,
)
from django_meetergo.contrib.rest_framework.problems import INVALID, Problem, invalid, unavailable
from django_meetergo.contrib.rest_framework.serializers import (
    BookingRequestSerializer,
    BookingSerializer,
    SlotSerializer,
    find_address,
    find_pause,
)
from django_meetergo.exceptions import (
    BookingAlreadyOpen,
    IdempotencyKeyReused,
    InvalidRequest,
    StartNotOffered,
    TooManyBookings,
)
from django_meetergo.models import Booking, MeetingType
from django_meetergo.services import polling
from django_meetergo.services.availability.alternatives import list_alternatives
from django_meetergo.services.booking.book import AttendeeData, book_appointment
from django_meetergo.services.clients import build_client
from django_meetergo.visitors import identify_visitor

State, Reason = Booking.State, Booking.Reason

KEY_SCHEMA = {"type": "string", "pattern": IDEMPOTENCY_PATTERN}
LOCATION = build_header("Location", "The booking's own address.", 201, 202)
PAUSE = build_header("Retry-After", "Seconds after which to look again.", 200, 202, 429, 503, kind=int)


class BookingView(PublicView):
    """What shows one booking."""

    def show_booking(self, booking: Booking, status: int = 200, **headers: str) -> Response:
        pause = find_pause(booking)
        if pause is not None:
            headers["Retry-After"] = str(pause)
        return self.show(BookingSerializer, booking, status=status, headers=headers)

    def address_of(self, booking: Booking) -> str:
        token = links.sign(booking.public_id, salt=links.BOOKING_SALT)
        return find_address(BookingSerializer(context=self.get_context()), "booking", token)


class BookingList(BookingView):
    throttle_scope = "meetergo-book"

    @document(
        operation_id="book",
        parameters=[
            OpenApiParameter(
                IDEMPOTENCY_HEADER,
                KEY_SCHEMA,
                OpenApiParameter.HEADER,
                description="Names this submission, so that sending it twice books once. "
                "If left out, one is made and returned.",
            ),
            build_header(IDEMPOTENCY_HEADER, "The key of this submission.", 201, 202, 409, 410, 422, 503),
            LOCATION,
            build_header("Retry-After", "Seconds after which to look again.", 202, 429, 503, kind=int),
        ],
        request=BookingRequestSerializer,
        responses=build_responses({201: BookingSerializer, 202: BookingSerializer}, *WITH_BODY, 409, 410),
    )
    def post(self, request: Any) -> Response:
        """Book a time.

        201: it stands. 202: it is being checked, waits for a confirmation, or waits for the service; look
        again at its address. Sent again with the same key and content, it answers how the first one stands.
        """
        key = read_key(request.headers.get(IDEMPOTENCY_HEADER))
        self.headers[IDEMPOTENCY_HEADER] = key
        wish = self.read(BookingRequestSerializer)
        meeting_type = find_meeting_type(wish["meeting_type"])
        if meeting_type is None:
            raise invalid("meeting_type", _("There is no such meeting type."))
        check_bookable(meeting_type)
        return Submission(self, meeting_type, wish, key).send()


class Submission:
    """One booking request on its way through the service."""

    def __init__(
        self, door: BookingView, meeting_type: MeetingType, wish: Mapping[str, Any], key: str
    ) -> None:
        self.door, self.meeting_type, self.wish, self.key = door, meeting_type, wish, key
        self.user = find_user(door.request)
        self.now = clock.now()
        self.zone = read_zone(wish.get("timezone", ""))

    @property
    def duration(self) -> int:
        return int(self.wish.get("duration") or self.meeting_type.duration)

    def send(self) -> Response:
        form = build_form(self.meeting_type, self.wish)
        validate_request(form, self.wish)
        if self.wish["start"] > self.now + HORIZON:
            raise invalid("start", _("This is too far ahead."))
        replaces = self.find_replaced()
        try:
            booking = self.book(form, replaces)
        except StartNotOffered:
            raise self.lost() from None
        except BookingAlreadyOpen as error:
            raise self.already_open(error.booking, replaces) from None
        except IdempotencyKeyReused:
            raise Problem(problems.KEY_REUSED) from None
        except TooManyBookings:
            raise Throttled(wait=3600) from None
        except InvalidRequest as error:
            field = "answers" if error.field == "custom_fields" else error.field
            raise invalid(field, error) from None
        return self.answer(booking, form)

    def book(self, form: ApiBookingForm, replaces: Booking | None) -> Booking:
        given = form.cleaned_data
        return book_appointment(
            meeting_type=self.meeting_type,
            start=self.wish["start"],
            duration=self.duration,
            channel=given.get("channel") or self.wish.get("channel", ""),
            location=form.chosen_location or self.wish.get("location", ""),
            attendee=AttendeeData(
                email=given["email"],
                first_name=given["first_name"],
                last_name=given["last_name"],
                phone=given["phone"],
                timezone=self.zone.key,
                language=get_language() or "",
                receive_reminders=given["receive_reminders"],
                other_emails=given.get("other_emails", ()),
            ),
            custom_fields=form.answers,
            user=self.user,
            subject=self.find_subject(),
            defer_consent=self.wish["queue"],
            replaces=replaces if replaces and replaces.state == State.PENDING else None,
            idempotency_key=fold_key(self.key),
            visitor=identify_visitor(self.user, self.door.request.META),
            client=build_client(self.meeting_type.connection, "write"),
            now=self.now,
        )

    def find_replaced(self) -> Booking | None:
        """The earlier booking whose token the client holds."""
        token = self.wish.get("replaces")
        if not token:
            return None
        public_id = links.unsign(token, salt=links.BOOKING_SALT)
        rows = Booking.objects.filter(meeting_type=self.meeting_type)
        booking = rows.filter(public_id=public_id).first() if public_id else None
        if booking is None:
            raise invalid("replaces", _("This is no booking of this meeting type."))
        return booking

    def find_subject(self) -> Model | None:
        """The site's own object that the booking is about."""
        token = self.wish.get("subject")
        subject = links.find_subject(token) if token else None
        if token and subject is None:
            raise invalid("subject", _("This was not signed here, or its object is gone."), "unknown")
        return subject

    # What comes of it

    def answer(self, booking: Booking, form: ApiBookingForm) -> Response:
        if booking.state == State.CLOSED:
            self.refuse(booking, form)
        status = 201 if booking.state == State.CONFIRMED else 202
        return self.door.show_booking(booking, status, Location=self.door.address_of(booking))

    def refuse(self, booking: Booking, form: ApiBookingForm) -> NoReturn:
        """The problem that a closed booking is, with what can be done about it."""
        address = self.door.address_of(booking)
        if booking.reason == Reason.SLOT_TAKEN:
            raise self.lost(booking=address)
        if booking.reason == Reason.UNREACHABLE:
            raise unavailable(booking=address)
        if booking.reason == Reason.REFUSED:
            raise Problem(INVALID, errors=list_refusals(booking, form), booking=address)
        members: dict[str, Any] = {"reason": booking.reason, "booking": address}
        if booking.reason == Reason.NOT_BOOKED:
            members |= self.offer()
        raise Problem(problems.BOOKING_CLOSED, **members)

    def lost(self, **members: Any) -> Problem:
        return Problem(problems.SLOT_TAKEN, **self.offer(), **members)

    def offer(self) -> dict[str, Any]:
        return offer_alternatives(
            self.meeting_type, self.wish["start"], self.duration, self.zone, clock.now()
        )

    def already_open(self, booking: Booking, replaces: Booking | None) -> Problem:
        """Who holds that booking's token, or is signed in as its owner, is told which it is."""
        is_owner = self.user is not None and booking.user_id == self.user.pk
        own = is_owner or booking == replaces
        members: dict[str, Any] = {"booking": self.door.address_of(booking)} if own else {}
        return Problem(problems.ALREADY_OPEN, **members)


def offer_alternatives(
    meeting_type: MeetingType, start: datetime, duration: int, zone: ZoneInfo, now: datetime, **options: Any
) -> dict[str, Any]:
    """Up to four fresh times near a lost one, as members of a problem; options are the service's."""
    if start <= now:
        return {"alternatives": []}
    found = list_alternatives(
        meeting_type=meeting_type,
        start=start,
        duration=duration,
        zone=zone,
        client=build_client(meeting_type.connection, "view"),
        now=now,
        **options,
    )
    return {"alternatives": SlotSerializer(describe_times(found, zone), many=True).data}


def list_refusals(booking: Booking, form: ApiBookingForm) -> dict[str, Any]:
    """What meetergo refused, at our names for it and in words of ours."""
    form.add_refusals(booking.field_errors)
    errors: dict[str, Any] = list_form_errors(form)
    if "duration" in booking.field_errors:
        errors["duration"] = [{"code": "invalid", "message": _("This length is no longer offered.")}]
    whole = [{"code": "refused", "message": _("These details were not accepted. Please check them.")}]
    return errors or {"": whole}


# What became of it


def find_booking(token: str) -> Booking:
    rows = Booking.objects.select_related(
        "meeting_type", "attendee__appointment__meeting_type", "replaced_by"
    ).defer("meeting_type__raw", "attendee__raw", "attendee__appointment__raw")
    return find_by_token(rows, token, salt=links.BOOKING_SALT)


class BookingDetail(BookingView):
    throttle_scope = "meetergo-token"

    @document(
        operation_id="get_booking",
        parameters=[TOKEN, PAUSE],
        responses=build_responses({200: BookingSerializer}, 404),
    )
    def get(self, request: Any, token: str) -> Response:
        """How a booking stands. While it is open, `Retry-After` says when to look again."""
        return self.show_booking(find_booking(token))


class BookingCheck(BookingView):
    throttle_scope = "meetergo-token"

    @document(
        operation_id="check_booking",
        parameters=[TOKEN, PAUSE],
        request=None,
        responses=build_responses({200: BookingSerializer}, 404),
    )
    def post(self, request: Any, token: str) -> Response:
        """Ask the service now how an open booking stands, if nobody has just done so."""
        polling.refresh_booking_status(booking=find_booking(token), now=clock.now())
        return self.show_booking(find_booking(token))
