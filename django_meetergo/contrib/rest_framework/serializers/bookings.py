"""Booking requests and bookings."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from django_meetergo import links
from django_meetergo.contrib.rest_framework.fields import (
    EnumField,
    FlagField,
    InstantField,
    NumberField,
    TextField,
)
from django_meetergo.contrib.rest_framework.serializers.base import (
    ApiSerializer,
    HostNameSerializer,
    build_channel_field,
    build_page_url,
    build_url,
    describe_hosts,
)
from django_meetergo.models import Appointment, Attendee, Booking
from django_meetergo.presentation.page_urls import parse_link
from django_meetergo.services.booking.validation import LIMITS, MAX_ANSWER_LENGTH, MAX_ANSWERS, MAX_GUESTS
from django_meetergo.texts import is_storable

#: Seconds until a client should read an open booking again, by state and reason.
POLL_INTERVALS: dict[tuple[str, str], int] = {
    (Booking.State.RECEIVED, Booking.Reason.DEFERRED): 30,
    (Booking.State.UNKNOWN, Booking.Reason.NEEDS_STAFF): 300,
    (Booking.State.PENDING, Booking.Reason.ATTENDEE): 15,
    (Booking.State.PENDING, Booking.Reason.HOST): 60,
    (Booking.State.PENDING, Booking.Reason.BOTH): 60,
}
#: The state of a booking whose appointment was cancelled later.
CANCELLED = "cancelled"
#: The same for every other open booking, and for a change that is in progress.
POLL_SOON = 5


def get_poll_interval(booking: Booking) -> int | None:
    """Return the seconds until the booking should be read again; None when nothing will change.

    After the confirmation its appointment is read once more, which brings the join link.
    """
    if booking.is_open:
        return POLL_INTERVALS.get((booking.state, booking.reason), POLL_SOON)
    is_read_again = booking.state == Booking.State.CONFIRMED and booking.next_at is not None
    return POLL_SOON if is_read_again and not is_cancelled(booking) else None


def is_cancelled(booking: Booking) -> bool:
    """Whether the appointment of a confirmed booking, or the attendee's place in it, has been cancelled."""
    return booking.attendee is not None and booking.attendee.is_cancelled


#: One answer, or one item of a list of answers; either may be null.
SCALAR_SCHEMAS: list[dict[str, Any]] = [
    {"type": "string", "maxLength": MAX_ANSWER_LENGTH},
    {"type": "boolean"},
    {"type": "number"},
]
ITEM_SCHEMA = {"oneOf": [*SCALAR_SCHEMAS, {"type": "null"}]}


@extend_schema_field(
    {"oneOf": [*SCALAR_SCHEMAS, {"type": "array", "items": ITEM_SCHEMA, "maxItems": MAX_ANSWERS}]}
)
class AnswerField(serializers.Field):  # type: ignore[misc]
    """A text, number or boolean, or a list of them, as the `inputs` of the meeting type describe it."""

    default_error_messages = {"invalid": _("Write a text, a number, true or false, or a list of them.")}
    text = TextField(allow_blank=True, max_length=MAX_ANSWER_LENGTH)

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_null=True, **options)

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, list) and len(data) <= MAX_ANSWERS:
            return [self.read_scalar(item) for item in data]
        return self.read_scalar(data)

    def read_scalar(self, data: Any) -> Any:
        if data is None or isinstance(data, bool | int | float):
            return data
        if isinstance(data, str):
            return self.text.run_validation(data)
        return self.fail("invalid")


class AnswersField(serializers.DictField):  # type: ignore[misc]
    """Answers by the names of their questions."""

    child = AnswerField()
    default_error_messages = {
        "too_many": _("Send at most {limit} answers."),
        "name": _("There is no such question."),
    }

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if isinstance(data, dict) and len(data) > MAX_ANSWERS:
            self.fail("too_many", limit=MAX_ANSWERS)
        if isinstance(data, dict) and not is_storable(list(data)):
            self.fail("name")
        return dict(super().to_internal_value(data))


class BookingRequestSerializer(ApiSerializer):
    meeting_type = TextField(min_length=1, max_length=200, help_text="The slug.")
    start = InstantField(help_text="One of the free times, with its offset.")
    duration = NumberField(required=False, min_value=1, max_value=1440, help_text="Minutes.")
    first_name = TextField(min_length=1, max_length=LIMITS["first_name"])
    last_name = TextField(min_length=1, max_length=LIMITS["last_name"])
    email = TextField(
        required=False,
        allow_blank=True,
        max_length=LIMITS["email"],
        help_text="Required by most meeting types.",
    )
    phone = TextField(required=False, allow_blank=True, max_length=LIMITS["phone"])
    channel = TextField(required=False, allow_blank=True, max_length=64)
    location = TextField(required=False, allow_blank=True, max_length=500)
    other_emails = serializers.ListField(
        child=TextField(min_length=1, max_length=LIMITS["email"]), required=False, max_length=MAX_GUESTS
    )
    receive_reminders = FlagField(required=False, help_text="True if left out.")
    privacy = FlagField(
        required=False,
        help_text="The attendee has read the privacy notice. Required where the site sets `PRIVACY_URL`.",
    )
    timezone = TextField(
        required=False, allow_blank=True, max_length=64, help_text="The attendee's, like Europe/Berlin."
    )
    language = TextField(
        required=False,
        max_length=16,
        help_text="The language of mails to the attendee, like `de` or `pt-br`; that of `Accept-Language` if "
        "left out.",
    )
    answers = AnswersField(
        required=False,
        help_text=f"Answers to the site's own questions by their names, at most {MAX_ANSWERS}.",
    )
    subject = TextField(
        required=False,
        allow_blank=True,
        max_length=400,
        help_text="An object of the site that the booking is about: the value of `links.sign_subject()`.",
    )
    defer_consent = FlagField(
        required=False,
        help_text="The attendee agrees that the request is sent later if meetergo does not answer now. "
        "Only where the site sets `DEFER_WHEN_DOWN`.",
    )
    replaces = TextField(
        required=False,
        allow_blank=True,
        max_length=200,
        help_text="The token of a pending booking of the same attendee; this booking replaces it.",
    )


class BookedSerializer(ApiSerializer):
    """The appointment of a confirmed booking."""

    status = EnumField("AppointmentStatus", Appointment.Status.values)
    start = InstantField()
    end = InstantField()
    channel = build_channel_field()
    location = serializers.CharField()
    meeting_link = serializers.CharField(allow_null=True)
    hosts = HostNameSerializer(many=True)


def describe_booked(attendee: Attendee) -> dict[str, Any]:
    """Return what ``BookedSerializer`` shows of an attendee's appointment."""
    appointment = attendee.appointment
    link = parse_link(appointment.meeting_link, schemes=("https", "http"))
    is_removed = attendee.status == Attendee.Status.REMOVED
    return {
        "status": Appointment.Status.CANCELLED if is_removed else appointment.status,
        "start": appointment.start,
        "end": appointment.end,
        "channel": appointment.channel,
        "location": appointment.location,
        "meeting_link": link.url if link else None,
        "hosts": describe_hosts(appointment.list_hosts()),
    }


class LinkSerializer(ApiSerializer):
    """A token, its address in this API, and its page (null where the site does not include the pages)."""

    token = serializers.CharField()
    url = serializers.CharField()
    page = serializers.CharField(allow_null=True)


class BookingSerializer(ApiSerializer):
    token = serializers.SerializerMethodField(help_text="Whoever holds it may see this booking.")
    url = serializers.SerializerMethodField()
    page = serializers.SerializerMethodField(help_text="The page of this booking; null without the pages.")
    reference = serializers.CharField()
    state = serializers.SerializerMethodField(help_text="`cancelled` after a cancelled confirmation.")
    reason = EnumField("BookingReason", Booking.Reason.values)
    is_open = serializers.BooleanField(help_text="The state can still change without another request.")
    poll_after_seconds = serializers.SerializerMethodField(
        help_text="Seconds until this address should be read again; null when nothing will change."
    )
    meeting_type = serializers.CharField(source="meeting_type.slug")
    start = serializers.SerializerMethodField(help_text="That of the appointment, once there is one.")
    end = serializers.SerializerMethodField()
    duration = serializers.IntegerField(help_text="Minutes.")
    timezone = serializers.CharField()
    email = serializers.CharField(help_text="Where mail about this booking goes.")
    appointment = serializers.SerializerMethodField()
    manage = serializers.SerializerMethodField(
        help_text="Where the attendee reschedules or cancels; null until the booking is confirmed."
    )
    replaced_by = serializers.SerializerMethodField(
        help_text="The address of the booking that replaced this one."
    )

    @extend_schema_field(EnumField("BookingState", [*Booking.State.values, CANCELLED]))
    def get_state(self, row: Booking) -> str:
        return CANCELLED if is_cancelled(row) else row.state

    @extend_schema_field(InstantField())
    def get_start(self, row: Booking) -> str:
        return (row.attendee.appointment if row.attendee else row).start.isoformat()

    @extend_schema_field(InstantField())
    def get_end(self, row: Booking) -> str:
        return (row.attendee.appointment if row.attendee else row).end.isoformat()

    def get_token(self, row: Booking) -> str:
        return links.sign(row.public_id, salt=links.BOOKING_SALT)

    def get_url(self, row: Booking) -> str:
        return build_url(self, "booking", self.get_token(row))

    def get_page(self, row: Booking) -> str | None:
        return build_page_url(self, links.get_booking_path, row)

    def get_poll_after_seconds(self, row: Booking) -> int | None:
        return get_poll_interval(row)

    @extend_schema_field(BookedSerializer(allow_null=True))
    def get_appointment(self, row: Booking) -> dict[str, Any] | None:
        if row.attendee is None:
            return None
        return dict(BookedSerializer(describe_booked(row.attendee), context=self.context).data)

    @extend_schema_field(LinkSerializer(allow_null=True))
    def get_manage(self, row: Booking) -> dict[str, Any] | None:
        if row.attendee is None:
            return None
        token = links.sign(row.attendee.public_id, salt=links.MANAGE_SALT)
        page = build_page_url(self, links.get_manage_path, row.attendee)
        return {"token": token, "url": build_url(self, "manage", token), "page": page}

    def get_replaced_by(self, row: Booking) -> str | None:
        if row.replaced_by is None:
            return None
        return self.get_url(row.replaced_by)
