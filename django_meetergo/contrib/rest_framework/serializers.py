"""What goes out and comes in, field by field. Nothing leaves that is not named here."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Any
from uuid import UUID

from django.urls import NoReverseMatch
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.reverse import reverse

from django_meetergo import links
from django_meetergo.contrib.rest_framework.booking_form import TYPES, describe_fields
from django_meetergo.contrib.rest_framework.instants import (
    FlagField,
    InstantField,
    NumberField,
    TextField,
)
from django_meetergo.models import Appointment, AppointmentChange, Attendee, Booking, Host, MeetingType
from django_meetergo.presentation.page_urls import parse_link
from django_meetergo.services.booking.validation import LIMITS, MAX_ANSWER_LENGTH, MAX_ANSWERS, MAX_GUESTS
from django_meetergo.services.changes.requests import MAX_REASON

#: Seconds after which a client should look again.
POLL_INTERVALS: dict[tuple[str, str], int] = {
    (Booking.State.RECEIVED, Booking.Reason.DEFERRED): 30,
    (Booking.State.UNKNOWN, Booking.Reason.NEEDS_STAFF): 300,
    (Booking.State.PENDING, Booking.Reason.ATTENDEE): 15,
    (Booking.State.PENDING, Booking.Reason.HOST): 60,
    (Booking.State.PENDING, Booking.Reason.BOTH): 60,
}
POLL_SOON = 5
SOME_ID = str(UUID(int=0))


def find_pause(booking: Booking) -> int | None:
    """Seconds until it is worth looking again; None when nothing will change by itself."""
    return POLL_INTERVALS.get((booking.state, booking.reason), POLL_SOON) if booking.is_open else None


def find_address(serializer: serializers.Serializer, name: str, *args: str) -> str:
    """An address of this API, wherever the site has included it."""
    request = serializer.context["request"]
    return str(reverse(f"{request.resolver_match.namespace}:{name}", args=args, request=request))


def find_page(serializer: serializers.Serializer, page: Any, row: Any) -> str | None:
    """The address of a page of ours, where the site shows those."""
    try:
        return str(serializer.context["request"].build_absolute_uri(page(row)))
    except NoReverseMatch:
        return None


def name_hosts(hosts: Iterable[Host]) -> list[dict[str, str]]:
    return [{"name": host.name, "initials": host.initials} for host in hosts if host.name]


def count_minutes(appointment: Appointment) -> int:
    return round(appointment.duration.total_seconds() / 60)


# The base of everything here: described and checked, never saved. Its docstring would end up in the schema.
class Document(serializers.Serializer):  # type: ignore[misc]
    pass


# What can be booked


class HostNameSerializer(Document):
    name = serializers.CharField()
    initials = serializers.CharField()


class MeetingTypeSerializer(Document):
    slug = serializers.CharField()
    name = serializers.CharField()
    description = serializers.CharField()
    duration = serializers.IntegerField(help_text="Minutes.")
    durations = serializers.ListField(
        child=serializers.IntegerField(), help_text="Every length that may be booked, in minutes."
    )
    channel = serializers.CharField(help_text="How people meet; empty when it is the attendee's choice.")
    channels = serializers.SerializerMethodField(help_text="What the attendee can choose from.")
    locations = serializers.ListField(child=serializers.CharField())
    seats = serializers.IntegerField(source="spots")
    confirmation = serializers.ChoiceField(choices=MeetingType.Confirmation.values)
    allows_guests = serializers.BooleanField()
    allows_phone_only = serializers.BooleanField()
    booked_elsewhere = serializers.BooleanField(
        source="needs_own_page", help_text="It can only be booked at `booking_url`."
    )
    booking_url = serializers.SerializerMethodField()
    hosts = serializers.SerializerMethodField()

    def get_channels(self, row: MeetingType) -> list[str]:
        return list(dict.fromkeys(row.allowed_channels))

    def get_booking_url(self, row: MeetingType) -> str | None:
        link = parse_link(row.booking_url)
        return link.url if link else None

    @extend_schema_field(HostNameSerializer(many=True))
    def get_hosts(self, row: MeetingType) -> list[dict[str, str]]:
        return name_hosts(row.hosts.all())


class ChoiceSerializer(Document):
    value = serializers.CharField(allow_blank=True)
    label = serializers.CharField()


class FieldSerializer(Document):
    name = serializers.CharField(help_text="A member of the booking request; `answers.…` is one of answers.")
    label = serializers.CharField()
    help_text = serializers.CharField()
    required = serializers.BooleanField()
    type = serializers.ChoiceField(choices=TYPES)
    max_length = serializers.IntegerField(allow_null=True)
    choices = ChoiceSerializer(many=True)


class MeetingTypeDetailSerializer(MeetingTypeSerializer):
    inputs = serializers.SerializerMethodField(help_text="What to ask the attendee for.")

    @extend_schema_field(FieldSerializer(many=True))
    def get_inputs(self, row: MeetingType) -> list[dict[str, Any]]:
        return describe_fields(row)


class SlotSerializer(Document):
    start = InstantField()
    seats_left = serializers.IntegerField(allow_null=True, help_text="Null where seats are not counted.")


class AvailabilitySerializer(Document):
    meeting_type = serializers.CharField()
    duration = serializers.IntegerField(help_text="Minutes.")
    timezone = serializers.CharField()
    first_day = serializers.DateField()
    last_day = serializers.DateField()
    as_of = InstantField(allow_null=True, help_text="When the oldest part of the times was read.")
    stale = serializers.BooleanField(
        help_text="The service does not answer just now; the times come from an earlier answer."
    )
    complete = serializers.BooleanField(help_text="False when nothing is known about a part of the days.")
    times = SlotSerializer(many=True)


# Booking


@extend_schema_field(
    {
        "oneOf": [
            {"type": "string", "maxLength": MAX_ANSWER_LENGTH},
            {"type": "boolean"},
            {
                "type": "array",
                "items": {"type": "string", "maxLength": MAX_ANSWER_LENGTH},
                "maxItems": MAX_ANSWERS,
            },
        ]
    }
)
class AnswerField(serializers.Field):  # type: ignore[misc]
    """A text, a yes or no, or several texts: what the inputs of a form can send."""

    default_error_messages = {"invalid": _("Write a text, true or false, or a list of texts.")}
    text = TextField(allow_blank=True, max_length=MAX_ANSWER_LENGTH)

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, bool):
            return data
        if isinstance(data, list) and len(data) <= MAX_ANSWERS:
            return [self.text.run_validation(one) for one in data]
        if isinstance(data, str):
            return self.text.run_validation(data)
        return self.fail("invalid")


class AnswersField(serializers.DictField):  # type: ignore[misc]
    """Answers by the names of their questions."""

    child = AnswerField()
    default_error_messages = {"too_many": _("Send at most {limit} answers.")}

    def to_internal_value(self, data: Any) -> dict[str, str]:
        if isinstance(data, dict) and len(data) > MAX_ANSWERS:
            self.fail("too_many", limit=MAX_ANSWERS)
        return dict(super().to_internal_value(data))


class BookingRequestSerializer(Document):
    meeting_type = TextField(min_length=1, max_length=200, help_text="Its slug.")
    start = InstantField(help_text="A moment from the free times, with its offset.")
    duration = NumberField(required=False, min_value=1, max_value=1440, help_text="Minutes.")
    first_name = TextField(min_length=1, max_length=LIMITS["first_name"])
    last_name = TextField(min_length=1, max_length=LIMITS["last_name"])
    email = TextField(
        required=False,
        allow_blank=True,
        max_length=LIMITS["email"],
        help_text="Most meeting types need it.",
    )
    phone = TextField(required=False, allow_blank=True, max_length=LIMITS["phone"])
    channel = TextField(required=False, allow_blank=True, max_length=64)
    location = TextField(required=False, allow_blank=True, max_length=500)
    other_emails = serializers.ListField(
        child=TextField(min_length=1, max_length=LIMITS["email"]), required=False, max_length=MAX_GUESTS
    )
    receive_reminders = FlagField(required=False, default=True)
    privacy = FlagField(
        required=False, help_text="The privacy notice was read; needed where the site has one."
    )
    timezone = TextField(required=False, allow_blank=True, max_length=64, help_text="The attendee's.")
    answers = AnswersField(
        required=False,
        help_text=f"Answers to the site's own questions by their names, at most {MAX_ANSWERS}.",
    )
    subject = TextField(
        required=False,
        allow_blank=True,
        max_length=400,
        help_text="What the booking is about: an object of the site, by the value that the site signed.",
    )
    queue = FlagField(
        required=False,
        default=False,
        help_text="The request may be sent later if the service does not answer now, where the site does so.",
    )
    replaces = TextField(
        required=False,
        allow_blank=True,
        max_length=200,
        help_text="The token of this person's booking that waits for a confirmation and gives way.",
    )


class BookedSerializer(Document):
    """The appointment behind a confirmed booking."""

    status = serializers.ChoiceField(choices=Appointment.Status.values)
    start = InstantField()
    end = InstantField()
    channel = serializers.CharField()
    location = serializers.CharField()
    meeting_link = serializers.CharField(allow_null=True)
    hosts = HostNameSerializer(many=True)


def describe_booked(attendee: Attendee) -> dict[str, Any]:
    appointment = attendee.appointment
    link = parse_link(appointment.meeting_link, schemes=("https", "http"))
    return {
        "status": Appointment.Status.CANCELLED
        if attendee.status == Attendee.Status.REMOVED
        else appointment.status,
        "start": appointment.start,
        "end": appointment.end,
        "channel": appointment.channel,
        "location": appointment.location,
        "meeting_link": link.url if link else None,
        "hosts": name_hosts(list_hosts(appointment)),
    }


def list_hosts(appointment: Appointment) -> list[Host]:
    """Who receives. Until the appointment has been read, whoever its meeting type names."""
    hosts = list(appointment.hosts.all())
    if hosts or appointment.meeting_type is None:
        return hosts
    return list(appointment.meeting_type.hosts.all())


class LinkSerializer(Document):
    """A token, where this API takes it, and the page that takes it (null when the site has none)."""

    token = serializers.CharField()
    url = serializers.CharField()
    page = serializers.CharField(allow_null=True)


class BookingSerializer(Document):
    token = serializers.SerializerMethodField(help_text="Whoever holds it may see this booking.")
    url = serializers.SerializerMethodField()
    page = serializers.SerializerMethodField(help_text="The page that shows it, if the site has one.")
    reference = serializers.CharField()
    state = serializers.ChoiceField(choices=Booking.State.values)
    reason = serializers.ChoiceField(choices=Booking.Reason.values)
    is_open = serializers.BooleanField(help_text="The state may still change by itself.")
    look_again_in = serializers.SerializerMethodField(help_text="Seconds; null when nothing will change.")
    meeting_type = serializers.CharField(source="meeting_type.slug")
    start = InstantField()
    end = InstantField()
    duration = serializers.IntegerField(help_text="Minutes.")
    timezone = serializers.CharField()
    email = serializers.CharField(help_text="Where mail about this booking goes.")
    appointment = serializers.SerializerMethodField()
    manage = serializers.SerializerMethodField(help_text="The way to move or cancel it, once it stands.")
    replaced_by = serializers.SerializerMethodField(help_text="The address of the booking that took over.")

    def get_token(self, row: Booking) -> str:
        return links.sign(row.public_id, salt=links.BOOKING_SALT)

    def get_url(self, row: Booking) -> str:
        return find_address(self, "booking", self.get_token(row))

    def get_page(self, row: Booking) -> str | None:
        return find_page(self, links.get_booking_path, row)

    def get_look_again_in(self, row: Booking) -> int | None:
        return find_pause(row)

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
        page = find_page(self, links.get_manage_path, row.attendee)
        return {"token": token, "url": find_address(self, "manage", token), "page": page}

    def get_replaced_by(self, row: Booking) -> str | None:
        if row.replaced_by is None:
            return None
        return find_address(self, "booking", links.sign(row.replaced_by.public_id, salt=links.BOOKING_SALT))


# An attendee's own appointment


class ChangeSerializer(Document):
    kind = serializers.ChoiceField(choices=AppointmentChange.Kind.values)
    state = serializers.ChoiceField(choices=AppointmentChange.State.values)
    outcome = serializers.CharField(help_text="Why it was refused.")
    start = InstantField(source="target_start", allow_null=True, help_text="The new start of a move.")
    requested_at = InstantField(source="created_at")


class ManagedSerializer(Document):
    """An appointment as its attendee sees it. Built by ``manage.describe``."""

    state = serializers.ChoiceField(choices=("upcoming", "past", "changing", "cancelled", "missing"))
    meeting_type = serializers.CharField(allow_null=True, help_text="Its slug.")
    name = serializers.CharField()
    start = InstantField()
    end = InstantField()
    duration = serializers.IntegerField(help_text="Minutes.")
    timezone = serializers.CharField(help_text="The attendee's.")
    channel = serializers.CharField()
    location = serializers.CharField()
    meeting_link = serializers.CharField(allow_null=True)
    hosts = HostNameSerializer(many=True)
    first_name = serializers.CharField()
    last_name = serializers.CharField()
    email = serializers.CharField()
    previous_start = InstantField(allow_null=True)
    may_reschedule = serializers.BooleanField()
    may_cancel = serializers.BooleanField()
    may_until = InstantField(allow_null=True, help_text="Until when something may be changed.")
    change = ChangeSerializer(allow_null=True, help_text="The last change that was asked for.")
    page = serializers.CharField(allow_null=True)


class CancelSerializer(Document):
    reason = TextField(required=False, default="", allow_blank=True, max_length=MAX_REASON)


class RescheduleSerializer(Document):
    start = InstantField(help_text="The new start, with its offset; the length stays.")


# For staff


class StaffCancelSerializer(CancelSerializer):
    attendee = serializers.UUIDField(required=False, help_text="Who leaves a group.")
    cancel_all = FlagField(required=False, default=False, help_text="A group is cancelled for everybody.")


class HostSerializer(Document):
    name = serializers.CharField()
    email = serializers.CharField()
    timezone = serializers.CharField()


class AttendeeSerializer(Document):
    id = serializers.UUIDField(source="public_id")
    first_name = serializers.CharField()
    last_name = serializers.CharField()
    email = serializers.CharField()
    phone = serializers.CharField()
    company = serializers.CharField()
    timezone = serializers.CharField()
    language = serializers.CharField()
    status = serializers.ChoiceField(choices=Attendee.Status.values)
    answers = serializers.SerializerMethodField()

    def get_answers(self, row: Attendee) -> dict[str, str]:
        return {str(name): str(answer) for name, answer in row.custom_fields.items()}


class AppointmentSerializer(Document):
    id = serializers.UUIDField(source="public_id")
    url = serializers.SerializerMethodField()
    meeting_type = serializers.SerializerMethodField(help_text="Its slug.")
    start = InstantField()
    end = InstantField()
    duration = serializers.SerializerMethodField(help_text="Minutes.")
    status = serializers.ChoiceField(choices=Appointment.Status.values)
    is_changing = serializers.BooleanField(help_text="A cancel or a move is on its way.")
    channel = serializers.CharField()
    location = serializers.CharField()
    meeting_link = serializers.CharField()
    cancelled_at = InstantField(allow_null=True)
    cancellation_reason = serializers.CharField()
    previous_start = InstantField(allow_null=True)
    reschedule_count = serializers.IntegerField()
    missing_since = InstantField(allow_null=True, help_text="Since when the service no longer knows it.")
    synced_at = InstantField(allow_null=True, help_text="When it was last read.")
    note = serializers.CharField()
    hosts = HostSerializer(many=True)
    attendees = AttendeeSerializer(many=True)

    @cached_property
    def address(self) -> str:
        """The address of any row, to be filled in: a hundred rows need not look for it a hundred times."""
        return find_address(self, "appointment", SOME_ID)

    def get_url(self, row: Appointment) -> str:
        return self.address.replace(SOME_ID, str(row.public_id))

    def get_meeting_type(self, row: Appointment) -> str | None:
        return row.meeting_type.slug if row.meeting_type else None

    def get_duration(self, row: Appointment) -> int:
        return count_minutes(row)


# Problems


class FieldErrorSerializer(Document):
    code = serializers.CharField()
    message = serializers.CharField()


class ProblemSerializer(Document):
    """RFC 9457."""

    type = serializers.CharField(help_text="Stable: decide by this.")
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField(required=False)


class InvalidSerializer(ProblemSerializer):
    errors = serializers.DictField(
        child=FieldErrorSerializer(many=True),
        required=False,
        help_text="What is wrong, by field; an empty name stands for the whole.",
    )
    booking = serializers.CharField(required=False, help_text="The address of the booking.")


class ConflictSerializer(ProblemSerializer):
    alternatives = SlotSerializer(
        many=True, required=False, help_text="Free times near the lost one, at most four, soonest first."
    )
    booking = serializers.CharField(
        required=False, help_text="The address of the booking; only for whoever made it."
    )
    reason = serializers.CharField(required=False, help_text="A stable word.")
    url = serializers.CharField(required=False, help_text="Where it can be booked.")


class UnavailableSerializer(ProblemSerializer):
    booking = serializers.CharField(required=False, help_text="The address of the booking that failed.")
