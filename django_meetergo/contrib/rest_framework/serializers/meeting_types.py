"""Meeting types, their inputs and their free times."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import ISO_8601, serializers

from django_meetergo.contrib.rest_framework.booking_form import ApiBookingForm
from django_meetergo.contrib.rest_framework.fields import EnumField, InstantField
from django_meetergo.contrib.rest_framework.inputs import INPUT_TYPES, describe_inputs
from django_meetergo.contrib.rest_framework.serializers.base import (
    CHANNELS,
    ApiSerializer,
    HostNameSerializer,
    build_channel_field,
    describe_hosts,
)
from django_meetergo.models import MeetingType
from django_meetergo.presentation.page_urls import parse_link


class MeetingTypeSerializer(ApiSerializer):
    slug = serializers.CharField()
    name = serializers.CharField(source="display_name")
    description = serializers.CharField(source="display_description")
    duration = serializers.IntegerField(help_text="The default length in minutes.")
    durations = serializers.ListField(
        child=serializers.IntegerField(), help_text="Every length that can be booked, in minutes."
    )
    channel = build_channel_field(help_text="How people meet; empty where the attendee chooses.")
    channels = serializers.SerializerMethodField(help_text="The channels an attendee can choose from.")
    locations = serializers.ListField(child=serializers.CharField())
    seats = serializers.IntegerField(source="spots")
    confirmation = EnumField("Confirmation", MeetingType.Confirmation.values)
    allows_guests = serializers.BooleanField()
    allows_phone_only = serializers.BooleanField()
    booked_elsewhere = serializers.BooleanField(
        source="is_booked_at_meetergo", help_text="It can only be booked at `booking_url`."
    )
    booking_url = serializers.SerializerMethodField()
    hosts = serializers.SerializerMethodField()

    @extend_schema_field(serializers.ListField(child=build_channel_field()))
    def get_channels(self, row: MeetingType) -> list[str]:
        return [channel for channel in dict.fromkeys(row.allowed_channels) if channel in CHANNELS]

    def get_booking_url(self, row: MeetingType) -> str | None:
        link = parse_link(row.booking_url)
        return link.url if link else None

    @extend_schema_field(HostNameSerializer(many=True))
    def get_hosts(self, row: MeetingType) -> list[dict[str, str]]:
        return describe_hosts(row.hosts.all())


class ChoiceSerializer(ApiSerializer):
    value = serializers.CharField(allow_blank=True)
    label = serializers.CharField()
    group = serializers.CharField(help_text="The heading above it; empty without groups.")


@extend_schema_field({"oneOf": [{"type": "number"}, {"type": "string"}, {"type": "null"}]})
class BoundField(serializers.Field):  # type: ignore[misc]
    """A number for numeric inputs, ISO 8601 text for dates and times, null without a bound."""

    def to_representation(self, value: Any) -> Any:
        return value


@extend_schema_field({"description": "A value of the kind that the input takes; null without one."})
class InitialField(BoundField):
    """The initial value of an input."""


class InputConditionSerializer(ApiSerializer):
    name = serializers.CharField(help_text="Another input.")
    values = serializers.ListField(child=serializers.CharField(), help_text="Values of that input.")


class InputPartSerializer(ApiSerializer):
    type = EnumField("InputType", INPUT_TYPES)
    multiple = serializers.BooleanField(help_text="The value is a list of such values.")
    required = serializers.BooleanField(help_text="For a boolean: it must be true.")
    min = BoundField()
    max = BoundField()
    step = serializers.FloatField(
        allow_null=True, help_text="The value is `min`, or 0, plus a multiple of it."
    )
    decimal_places = serializers.IntegerField(allow_null=True)
    max_digits = serializers.IntegerField(allow_null=True)
    min_length = serializers.IntegerField(allow_null=True, help_text="Without leading and trailing spaces.")
    max_length = serializers.IntegerField(allow_null=True)
    max_items = serializers.IntegerField(allow_null=True)
    pattern = serializers.CharField(allow_null=True, help_text="A regular expression that is searched for.")
    choices = ChoiceSerializer(many=True)


class InputSerializer(InputPartSerializer):
    name = serializers.CharField(
        help_text="A member of the booking request; `answers.x` is the member `x` of `answers`."
    )
    label = serializers.CharField()
    help_text = serializers.CharField()
    url = serializers.CharField(allow_null=True, help_text="A page that the label refers to.")
    initial = InitialField()
    parts = InputPartSerializer(
        many=True, help_text="For the type `parts`: the value is a list, one per part."
    )
    shown_when = InputConditionSerializer(allow_null=True, help_text="Only used in this case.")
    required_when = InputConditionSerializer(allow_null=True, help_text="Also required in this case.")
    required_unless = serializers.CharField(
        allow_null=True, help_text="Required unless the input with this name has a value."
    )


class MeetingTypeDetailSerializer(MeetingTypeSerializer):
    inputs = serializers.SerializerMethodField(help_text="What to ask an attendee for.")

    @extend_schema_field(InputSerializer(many=True))
    def get_inputs(self, row: MeetingType) -> list[dict[str, Any]]:
        return describe_inputs(ApiBookingForm(meeting_type=row, request=self.context["request"]._request))


class SlotSerializer(ApiSerializer):
    start = InstantField()
    seats_left = serializers.IntegerField(allow_null=True, help_text="Null where seats are not counted.")


class AvailabilitySerializer(ApiSerializer):
    meeting_type = serializers.CharField()
    duration = serializers.IntegerField(help_text="Minutes.")
    timezone = serializers.CharField()
    first_day = serializers.DateField(format=ISO_8601)
    last_day = serializers.DateField(format=ISO_8601)
    as_of = InstantField(allow_null=True, help_text="When the oldest part of these times was read.")
    stale = serializers.BooleanField(
        help_text="meetergo does not answer at the moment; these times come from an earlier answer."
    )
    complete = serializers.BooleanField(help_text="False where some of the days could not be read.")
    times = SlotSerializer(many=True)
