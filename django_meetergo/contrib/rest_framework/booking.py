"""Book an appointment, and follow a booking until it has ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from django.db.models import Model
from django.utils import timezone as clock
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import Throttled
from rest_framework.response import Response

from django_meetergo import links
from django_meetergo.contrib.rest_framework import problems
from django_meetergo.contrib.rest_framework.availability import HORIZON, list_alternative_slots, read_zone
from django_meetergo.contrib.rest_framework.base import PublicView, get_by_token, get_user
from django_meetergo.contrib.rest_framework.booking_form import (
    IDEMPOTENCY_HEADER,
    IDEMPOTENCY_PATTERN,
    ApiBookingForm,
    build_form,
    hash_idempotency_key,
    list_form_errors,
    read_idempotency_key,
    validate_form,
)
from django_meetergo.contrib.rest_framework.meeting_types import ensure_bookable, find_meeting_type
from django_meetergo.contrib.rest_framework.operations import (
    TOKEN,
    WITH_BODY,
    build_header,
    build_responses,
    build_retry_after,
    describe_operation,
)
from django_meetergo.contrib.rest_framework.problems import Problem, build_invalid, build_unavailable
from django_meetergo.contrib.rest_framework.serializers.base import build_url
from django_meetergo.contrib.rest_framework.serializers.bookings import (
    BookingRequestSerializer,
    BookingSerializer,
    get_poll_interval,
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
from django_meetergo.services.booking.book import AttendeeData, book_appointment
from django_meetergo.services.clients import build_client
from django_meetergo.visitors import identify_visitor

State, Reason = Booking.State, Booking.Reason

KEY_SCHEMA = {"type": "string", "pattern": IDEMPOTENCY_PATTERN}


class BookingView(PublicView):
    """A view that shows one booking."""

    def show_booking(self, booking: Booking, status: int = 200, **headers: str) -> Response:
        interval = get_poll_interval(booking)
        if interval is not None:
            headers["Retry-After"] = str(interval)
        return self.build_response(BookingSerializer, booking, status=status, headers=headers)

    def get_booking_url(self, booking: Booking) -> str:
        token = links.sign(booking.public_id, salt=links.BOOKING_SALT)
        return build_url(BookingSerializer(context=self.get_serializer_context()), "booking", token)


class BookingList(BookingView):
    throttle_scope = "meetergo-book"

    @describe_operation(
        operation_id="book",
        parameters=[
            OpenApiParameter(
                IDEMPOTENCY_HEADER,
                KEY_SCHEMA,
                OpenApiParameter.HEADER,
                description="Identifies this submission: the same key sent again never books twice. "
                "If left out, the server makes one and returns it.",
            ),
            build_header(IDEMPOTENCY_HEADER, "The key of this submission.", 201, 202, 409, 410, 422, 503),
            build_header("Location", "The address of the booking.", 201, 202),
            build_retry_after(202),
        ],
        request=BookingRequestSerializer,
        responses=build_responses({201: BookingSerializer, 202: BookingSerializer}, *WITH_BODY, 409, 410),
    )
    def post(self, request: Any) -> Response:
        """Book a free time.

        201: the booking is confirmed. 202: it is being checked, or waits for a confirmation or for meetergo;
        read its address again after `Retry-After`. The same key with the same body returns the first booking
        in its present state.
        """
        key = read_idempotency_key(request.headers.get(IDEMPOTENCY_HEADER))
        self.headers[IDEMPOTENCY_HEADER] = key
        data = self.validate_body(BookingRequestSerializer)
        meeting_type = find_meeting_type(data["meeting_type"])
        if meeting_type is None:
            raise build_invalid("meeting_type", _("There is no such meeting type."))
        ensure_bookable(meeting_type)
        return Submission(self, meeting_type, data, key).send()


class Submission:
    """One validated request to book, and the answer to it."""

    def __init__(
        self, view: BookingView, meeting_type: MeetingType, data: Mapping[str, Any], key: str
    ) -> None:
        self.view, self.meeting_type, self.data, self.key = view, meeting_type, data, key
        self.user = get_user(view.request)
        self.now = clock.now()
        self.zone = read_zone(data.get("timezone", ""))

    @property
    def duration(self) -> int:
        return int(self.data.get("duration") or self.meeting_type.duration)

    def send(self) -> Response:
        """Book and return the answer. Raises a problem for a request that leads to no open booking."""
        form = build_form(self.meeting_type, self.data)
        validate_form(form, self.data)
        if self.data["start"] > self.now + HORIZON:
            raise build_invalid("start", _("This is too far in the future."))
        replaces = self.find_replaced()
        try:
            booking = self.book(form, replaces)
        except StartNotOffered:
            raise self.build_slot_taken() from None
        except BookingAlreadyOpen as error:
            raise self.build_already_open(error.booking, replaces) from None
        except IdempotencyKeyReused:
            raise Problem(problems.KEY_REUSED) from None
        except TooManyBookings as error:
            raise Throttled(wait=error.retry_after) from None
        except InvalidRequest as error:
            field = "answers" if error.field == "custom_fields" else error.field
            raise build_invalid(field, error) from None
        return self.show_result(booking, form)

    def book(self, form: ApiBookingForm, replaces: Booking | None) -> Booking:
        details = form.cleaned_data
        return book_appointment(
            meeting_type=self.meeting_type,
            start=self.data["start"],
            duration=self.duration,
            channel=details.get("channel") or self.data.get("channel", ""),
            location=form.chosen_location or self.data.get("location", ""),
            attendee=AttendeeData(
                email=details["email"],
                first_name=details["first_name"],
                last_name=details["last_name"],
                phone=details["phone"],
                timezone=self.zone.key,
                language=get_language() or "",
                receive_reminders=details["receive_reminders"],
                other_emails=details.get("other_emails", ()),
            ),
            custom_fields=form.answers,
            user=self.user,
            subject=self.find_subject(),
            defer_consent=self.data["defer_consent"],
            replaces=replaces if replaces and replaces.state == State.PENDING else None,
            idempotency_key=hash_idempotency_key(self.key),
            visitor=identify_visitor(self.user, self.view.request.META),
            client=build_client(self.meeting_type.connection, "write"),
            now=self.now,
        )

    def find_replaced(self) -> Booking | None:
        """Return the pending booking whose token the client sent in ``replaces``."""
        token = self.data.get("replaces")
        if not token:
            return None
        public_id = links.unsign(token, salt=links.BOOKING_SALT)
        rows = Booking.objects.filter(meeting_type=self.meeting_type)
        booking = rows.filter(public_id=public_id).first() if public_id else None
        if booking is None:
            raise build_invalid("replaces", _("There is no such booking of this meeting type."))
        return booking

    def find_subject(self) -> Model | None:
        """Return the site's object whose signed value the client sent in ``subject``."""
        token = self.data.get("subject")
        subject = links.find_subject(token) if token else None
        if token and subject is None:
            raise build_invalid(
                "subject",
                _("This value was not signed by this site, or its object no longer exists."),
                "unknown",
            )
        return subject

    # The answer

    def show_result(self, booking: Booking, form: ApiBookingForm) -> Response:
        if booking.state == State.CLOSED:
            self.raise_closed(booking, form)
        status = 201 if booking.state == State.CONFIRMED else 202
        return self.view.show_booking(booking, status, Location=self.view.get_booking_url(booking))

    def raise_closed(self, booking: Booking, form: ApiBookingForm) -> NoReturn:
        """Raise the problem of a closed booking, with what the client can do next."""
        url = self.view.get_booking_url(booking)
        if booking.reason == Reason.SLOT_TAKEN:
            raise self.build_slot_taken(booking=url)
        if booking.reason == Reason.UNREACHABLE:
            raise build_unavailable(booking=url)
        if booking.reason == Reason.REFUSED:
            raise Problem(problems.INVALID, errors=list_refused_fields(booking, form), booking=url)
        members: dict[str, Any] = {"reason": booking.reason, "booking": url}
        if booking.reason == Reason.NOT_BOOKED:
            members["alternatives"] = self.list_alternatives()
        raise Problem(problems.BOOKING_CLOSED, **members)

    def build_slot_taken(self, **members: Any) -> Problem:
        return Problem(problems.SLOT_TAKEN, alternatives=self.list_alternatives(), **members)

    def list_alternatives(self) -> list[Any]:
        return list_alternative_slots(
            self.meeting_type, self.data["start"], self.duration, self.zone, clock.now()
        )

    def build_already_open(self, booking: Booking, replaces: Booking | None) -> Problem:
        """Return the conflict. The other booking is named only to its owner or token holder."""
        is_owner = self.user is not None and booking.user_id == self.user.pk
        is_known = is_owner or booking == replaces
        members: dict[str, Any] = {"booking": self.view.get_booking_url(booking)} if is_known else {}
        return Problem(problems.ALREADY_OPEN, **members)


def list_refused_fields(booking: Booking, form: ApiBookingForm) -> dict[str, Any]:
    """Return the fields that meetergo refused by the names that clients use, without meetergo's messages."""
    form.add_refusals(booking.field_errors)
    errors: dict[str, Any] = list_form_errors(form)
    if "duration" in booking.field_errors:
        errors["duration"] = [{"code": "invalid", "message": _("This length is no longer offered.")}]
    whole = [{"code": "refused", "message": _("These details were not accepted. Please check them.")}]
    return errors or {"": whole}


# Following a booking


def get_booking(token: str) -> Booking:
    rows = Booking.objects.select_related(
        "meeting_type", "attendee__appointment__meeting_type", "replaced_by"
    ).defer("meeting_type__raw", "attendee__raw", "attendee__appointment__raw")
    return get_by_token(rows, token, salt=links.BOOKING_SALT)


class BookingDetail(BookingView):
    throttle_scope = "meetergo-token"

    @describe_operation(
        operation_id="get_booking",
        parameters=[TOKEN, build_retry_after(200)],
        responses=build_responses({200: BookingSerializer}, 404),
    )
    def get(self, request: Any, token: str) -> Response:
        """Show a booking. While it is open, `Retry-After` says when to read it again."""
        return self.show_booking(get_booking(token))


class BookingCheck(BookingView):
    throttle_scope = "meetergo-token"

    @describe_operation(
        operation_id="check_booking",
        parameters=[TOKEN, build_retry_after(200)],
        request=None,
        responses=build_responses({200: BookingSerializer}, 404),
    )
    def post(self, request: Any, token: str) -> Response:
        """Read an open booking from meetergo, at most every few seconds, and show it."""
        polling.refresh_booking_status(booking=get_booking(token), now=clock.now())
        return self.show_booking(get_booking(token))
