"""Meeting types, their inputs and their free times."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from django_meetergo.contrib.rest_framework.fields import InstantField
from django_meetergo.contrib.rest_framework.inputs import INPUT_TYPES, describe_inputs
from django_meetergo.contrib.rest_framework.serializers.base import (
    ApiSerializer,
    HostNameSerializer,
    describe_hosts,
)
from django_meetergo.models import MeetingType
from django_meetergo.presentation.page_urls import parse_link


class MeetingTypeSerializer(ApiSerializer):
    slug = serializers.CharField()
    name = serializers.CharField()
    description = serializers.CharField()
    duration = serializers.IntegerField(help_text="The default length in minutes.")
    durations = serializers.ListField(
        child=serializers.IntegerField(), help_text="Every length that can be booked, in minutes."
    )
    channel = serializers.CharField(help_text="How people meet; empty where the attendee chooses.")
    channels = serializers.SerializerMethodField(help_text="The channels an attendee can choose from.")
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
        return describe_hosts(row.hosts.all())


class ChoiceSerializer(ApiSerializer):
    value = serializers.CharField(allow_blank=True)
    label = serializers.CharField()


class InputSerializer(ApiSerializer):
    name = serializers.CharField(
        help_text="A member of the booking request; `answers.x` is the member `x` of `answers`."
    )
    label = serializers.CharField()
    help_text = serializers.CharField()
    required = serializers.BooleanField()
    type = serializers.ChoiceField(choices=INPUT_TYPES)
    max_length = serializers.IntegerField(allow_null=True)
    choices = ChoiceSerializer(many=True)


class MeetingTypeDetailSerializer(MeetingTypeSerializer):
    inputs = serializers.SerializerMethodField(help_text="What to ask an attendee for.")

    @extend_schema_field(InputSerializer(many=True))
    def get_inputs(self, row: MeetingType) -> list[dict[str, Any]]:
        return describe_inputs(row)


class SlotSerializer(ApiSerializer):
    start = InstantField()
    seats_left = serializers.IntegerField(allow_null=True, help_text="Null where seats are not counted.")


class AvailabilitySerializer(ApiSerializer):
    meeting_type = serializers.CharField()
    duration = serializers.IntegerField(help_text="Minutes.")
    timezone = serializers.CharField()
    first_day = serializers.DateField()
    last_day = serializers.DateField()
    as_of = InstantField(allow_null=True, help_text="When the oldest part of these times was read.")
    stale = serializers.BooleanField(
        help_text="meetergo does not answer at the moment; these times come from an earlier answer."
    )
    complete = serializers.BooleanField(help_text="False where some of the days could not be read.")
    times = SlotSerializer(many=True)
