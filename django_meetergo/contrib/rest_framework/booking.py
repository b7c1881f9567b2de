"""Book an appointment, and follow a booking until it has ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from django.db.models import Model
from django.utils import timezone as clock
from django.utils.translation import get_language, gettext_lazy
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter
from rest_framework.response import Response

from django_meetergo import links
from django_meetergo.contrib.rest_framework import examples, problems
from django_meetergo.contrib.rest_framework.availability import HORIZON, list_alternative_slots, read_zone
from django_meetergo.contrib.rest_framework.base import PublicView, get_by_token
from django_meetergo.contrib.rest_framework.booking_form import (
    IDEMPOTENCY_HEADER,
    IDEMPOTENCY_PATTERN,
    ApiBookingForm,
    build_form,
    hash_content,
    hash_idempotency_key,
    read_idempotency_key,
    validate_form,
)
from django_meetergo.contrib.rest_framework.meeting_types import ensure_bookable, find_meeting_type
from django_meetergo.contrib.rest_framework.operations import (
    TOKEN,
    WITH_BODY,
    build_header,
    describe_operation,
)
from django_meetergo.contrib.rest_framework.problems import (
    Problem,
    build_error,
    build_invalid,
    build_limited,
    build_unavailable,
)
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
from django_meetergo.presentation.forms import FIELDS_BY_REMOTE_NAME, NOT_ACCEPTED, REFUSALS
from django_meetergo.services import polling
from django_meetergo.services.booking.book import BookingRequest, submit_request
from django_meetergo.services.clients import build_client
from django_meetergo.visitors import get_user, identify_visitor

State, Reason = Booking.State, Booking.Reason

#: What the serializer shows of a booking besides its own columns.
SHOWN_RELATIONS = ("meeting_type", "attendee__appointment__meeting_type", "replaced_by")
KEY_SCHEMA = {"type": "string", "pattern": IDEMPOTENCY_PATTERN}


class BookingView(PublicView):
    """A view that shows one booking."""

    def show_booking(self, booking: Booking, status: int = 200, **headers: str) -> Response:
        interval = get_poll_interval(booking)
        if interval is not None:
            headers["Retry-After"] = str(interval)
        return self.build_response(BookingSerializer, booking, status=status, headers=headers)

    def get_booking_url(self, booking: Booking) -> str:
        return BookingSerializer(context=self.get_serializer_context()).get_url(booking)


class BookingList(BookingView):
    throttle_scope = "meetergo-book"

    def check_throttles(self, request: Any) -> None:
        """Count a repeated request like a read of its booking, so that its answer is not lost to a limit."""
        header = request.headers.get(IDEMPOTENCY_HEADER, "")
        if header and find_by_key(header.strip('"')):
            self.throttle_scope = "meetergo-token"
        super().check_throttles(request)

    @describe_operation(
        "book",
        "Book a free time",
        {201: BookingSerializer, 202: BookingSerializer},
        *WITH_BODY,
        problems.KEY_INVALID,
        problems.SLOT_TAKEN,
        problems.ALREADY_OPEN,
        problems.KEY_REUSED,
        problems.BOOKING_CLOSED,
        problems.BOOKED_ELSEWHERE,
        problems.GONE,
        problems.TOO_MANY_BOOKINGS,
        parameters=[
            OpenApiParameter(
                IDEMPOTENCY_HEADER,
                KEY_SCHEMA,
                OpenApiParameter.HEADER,
                description="Identifies this submission: the same key sent again never books twice. "
                "If left out, the server makes one and returns it.",
            ),
            build_header(
                IDEMPOTENCY_HEADER, "The key of this submission.", 201, 202, 409, 410, 422, 503, kind=str
            ),
            build_header("Location", "The address of the booking.", 201, 202, kind=str),
        ],
        retry_after=[201, 202],
        request=BookingRequestSerializer,
        examples=examples.BOOK,
    )
    def post(self, request: Any) -> Response:
        """Book a free time.

        201: the booking is confirmed. 202: it is being checked, or waits for a confirmation or for meetergo;
        read its address again after `Retry-After`. The same key with the same body shows the first booking
        in its present state, whatever has changed since.
        """
        key = read_idempotency_key(request.headers.get(IDEMPOTENCY_HEADER))
        self.headers[IDEMPOTENCY_HEADER] = key
        data = self.validate_body(BookingRequestSerializer)
        if first := find_by_key(key):
            if first.content_digest != hash_content(data):
                raise Problem(problems.KEY_REUSED)
            return self.show_result(first)
        meeting_type = find_meeting_type(data["meeting_type"])
        if meeting_type is None:
            raise build_invalid("meeting_type", _("There is no such meeting type."))
        ensure_bookable(meeting_type)
        return self.show_result(Submission(self, meeting_type, data, key).send())

    # The answer

    def show_result(self, booking: Booking) -> Response:
        """Show an open or confirmed booking. Raises a problem for a closed one."""
        if booking.state == State.CLOSED:
            self.raise_closed(booking)
        status = 201 if booking.state == State.CONFIRMED else 202
        return self.show_booking(booking, status, Location=self.get_booking_url(booking))

    def raise_closed(self, booking: Booking) -> NoReturn:
        """Raise the problem of a closed booking, with what the client can do next."""
        url = self.get_booking_url(booking)
        if booking.reason == Reason.SLOT_TAKEN:
            raise Problem(problems.SLOT_TAKEN, alternatives=list_alternatives_to(booking), booking=url)
        if booking.reason == Reason.UNREACHABLE:
            raise build_unavailable(booking=url)
        if booking.reason == Reason.REFUSED:
            raise Problem(problems.INVALID, errors=list_refused_fields(booking), booking=url)
        members: dict[str, Any] = {"reason": booking.reason, "booking": url}
        if booking.reason == Reason.NOT_BOOKED:
            members["alternatives"] = list_alternatives_to(booking)
        raise Problem(problems.BOOKING_CLOSED, **members)


def find_by_key(key: str) -> Booking | None:
    """Return the booking that a request with this key has stored."""
    rows = Booking.objects.select_related(*SHOWN_RELATIONS)
    return rows.filter(idempotency_key=hash_idempotency_key(key)).order_by("pk").first()


def list_alternatives_to(booking: Booking) -> list[Any]:
    """Return free times near the one that was not booked; none where its type cannot be booked any more."""
    meeting_type = booking.meeting_type
    if not meeting_type.is_bookable:
        return []
    zone = read_zone(booking.timezone)
    return list_alternative_slots(meeting_type, booking.start, booking.duration, zone, clock.now())


def list_refused_fields(booking: Booking) -> dict[str, Any]:
    """Return the fields that meetergo refused by the names that clients use, without meetergo's messages."""
    errors: dict[str, Any] = {}
    for remote_name in booking.field_errors:
        last = remote_name.rpartition(".")[2]
        own = FIELDS_BY_REMOTE_NAME.get(last.lower(), "")
        name = f"answers.{last}" if last in booking.custom_fields else own
        if last == "duration":
            errors["duration"] = [build_error(_("This length is no longer offered."), "not_offered")]
        elif name:
            errors[name] = [build_error(REFUSALS.get(name, NOT_ACCEPTED), "refused")]
    return errors or {"": [build_error(_("These details were not accepted. Please check them."), "refused")]}


class Submission:
    """One request to book that was not sent before."""

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

    def send(self) -> Booking:
        """Return the stored booking. Raises a problem for a request that is refused before it is stored."""
        form = build_form(self.meeting_type, self.data, self.view.request._request)
        validate_form(form, self.data)
        self.validate_time()
        replaces = self.find_replaced()
        try:
            return self.book(form, replaces)
        except StartNotOffered:
            alternatives = list_alternative_slots(
                self.meeting_type, self.data["start"], self.duration, self.zone, clock.now()
            )
            raise Problem(problems.SLOT_TAKEN, alternatives=alternatives) from None
        except BookingAlreadyOpen as error:
            raise self.build_already_open(error.booking, replaces) from None
        except IdempotencyKeyReused:
            raise Problem(problems.KEY_REUSED) from None
        except TooManyBookings as error:
            raise build_limited(problems.TOO_MANY_BOOKINGS, error.retry_after) from None
        except InvalidRequest as error:
            raise build_invalid_booking(error) from None

    def validate_time(self) -> None:
        """Raise a problem for a start or a duration that cannot be offered."""
        if self.data["start"] <= self.now:
            raise build_invalid("start", _("This time has passed. Choose a later one."), "past")
        if self.data["start"] > self.now + HORIZON:
            raise build_invalid("start", _("This is too far in the future."), "too_late")
        if self.duration not in self.meeting_type.durations:
            offered = ", ".join(str(minutes) for minutes in self.meeting_type.durations)
            message = _("Choose one of: %(offered)s.") % {"offered": offered}
            raise build_invalid("duration", message, "not_offered")

    def book(self, form: ApiBookingForm, replaces: Booking | None) -> Booking:
        details = form.cleaned_data
        return submit_request(
            BookingRequest(
                meeting_type=self.meeting_type,
                start=self.data["start"],
                duration=self.duration,
                channel=details.get("channel") or self.data.get("channel", ""),
                location=form.chosen_location or self.data.get("location", ""),
                attendee=form.build_attendee(
                    timezone=self.zone.key, language=self.data.get("language") or get_language() or ""
                ),
                custom_fields=form.answers,
                user=self.user,
                subject=self.find_subject(),
                defer_consent=self.data.get("defer_consent", False),
                replaces=replaces if replaces and replaces.state == State.PENDING else None,
                idempotency_key=hash_idempotency_key(self.key),
                content_digest=hash_content(self.data),
                visitor=identify_visitor(self.user, self.view.request.META),
            ),
            client=build_client(self.meeting_type.reader, "write"),
            now=self.now,
        )

    def find_replaced(self) -> Booking | None:
        """Return the pending booking whose token the client sent in ``replaces``."""
        token = self.data.get("replaces")
        if not token:
            return None
        rows = Booking.objects.filter(meeting_type=self.meeting_type)
        booking = links.find_by_token(rows, token, salt=links.BOOKING_SALT)
        if booking is None:
            message = _("There is no such booking of this meeting type.")
            raise build_invalid("replaces", message, "unknown")
        return booking

    def find_subject(self) -> Model | None:
        """Return the site's object whose signed value the client sent in ``subject``."""
        token = self.data.get("subject")
        subject = links.find_subject(token) if token else None
        if token and subject is None:
            message = _("This value was not signed by this site, or its object no longer exists.")
            raise build_invalid("subject", message, "unknown")
        return subject

    def build_already_open(self, booking: Booking, replaces: Booking | None) -> Problem:
        """Return the conflict. The other booking is named only to its owner or token holder."""
        is_owner = self.user is not None and booking.user_id == self.user.pk
        is_known = is_owner or booking == replaces
        members: dict[str, Any] = {"booking": self.view.get_booking_url(booking)} if is_known else {}
        return Problem(problems.ALREADY_OPEN, **members)


#: What a client shows where the service refuses an argument, by its field.
INVALID_TEXTS = {
    "channel": ("not_offered", gettext_lazy("This is no longer offered. Choose another one.")),
    "email": (
        "limit_reached",
        gettext_lazy("This e-mail address has as many future appointments as one person may have."),
    ),
}


def build_invalid_booking(error: InvalidRequest) -> Problem:
    """Return the problem of a refused argument at its member, with a text in the client's language."""
    field = "answers" if error.field == "custom_fields" else error.field
    code, message = INVALID_TEXTS.get(field, ("invalid", NOT_ACCEPTED))
    return build_invalid(field, message, code)


# Following a booking


def get_booking(token: str) -> Booking:
    rows = Booking.objects.select_related(*SHOWN_RELATIONS).defer(
        "meeting_type__raw", "attendee__raw", "attendee__appointment__raw"
    )
    return get_by_token(rows, token, salt=links.BOOKING_SALT)


class BookingDetail(BookingView):
    throttle_scope = "meetergo-token"

    @describe_operation(
        "get_booking",
        "Show a booking",
        {200: BookingSerializer},
        problems.NOT_FOUND,
        parameters=[TOKEN],
        retry_after=[200],
    )
    def get(self, request: Any, token: str) -> Response:
        """Show a booking. While it is open, `Retry-After` says when to read it again."""
        return self.show_booking(get_booking(token))


class BookingCheck(BookingView):
    throttle_scope = "meetergo-token"

    @describe_operation(
        "check_booking",
        "Read a booking from meetergo",
        {200: BookingSerializer},
        problems.NOT_FOUND,
        parameters=[TOKEN],
        retry_after=[200],
        request=None,
    )
    def post(self, request: Any, token: str) -> Response:
        """Read an open booking from meetergo, at most every few seconds, and show it."""
        polling.refresh_booking_status(booking=get_booking(token), now=clock.now())
        return self.show_booking(get_booking(token))
