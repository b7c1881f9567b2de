"""Appointments, as their attendee and as staff see them, and requests to change them."""

from __future__ import annotations

from functools import cached_property
from uuid import UUID

from rest_framework import serializers

from django_meetergo.contrib.rest_framework.fields import EnumField, FlagField, InstantField, TextField
from django_meetergo.contrib.rest_framework.serializers.base import (
    ApiSerializer,
    HostNameSerializer,
    build_channel_field,
    build_url,
)
from django_meetergo.models import Appointment, AppointmentChange, Attendee
from django_meetergo.remote.payloads.reading import build_answer
from django_meetergo.services.changes.requests import MAX_REASON

PLACEHOLDER_ID = str(UUID(int=0))


# For the attendee


class ChangeSerializer(ApiSerializer):
    kind = EnumField(
        "ChangeKind", (AppointmentChange.Kind.CANCEL.value, AppointmentChange.Kind.RESCHEDULE.value)
    )
    state = EnumField("ChangeState", AppointmentChange.State.values)
    outcome = serializers.CharField(help_text="Why it was refused; empty otherwise.")
    start = InstantField(source="target_start", allow_null=True, help_text="The new start of a reschedule.")
    requested_at = InstantField(source="created_at")


class ManagedSerializer(ApiSerializer):
    """An appointment as its attendee sees it."""

    state = EnumField("ManagedState", ("upcoming", "past", "changing", "cancelled", "missing"))
    meeting_type = serializers.CharField(allow_null=True, help_text="The slug.")
    name = serializers.CharField()
    start = InstantField()
    end = InstantField()
    duration = serializers.IntegerField(help_text="Minutes.")
    timezone = serializers.CharField(help_text="The attendee's.")
    channel = build_channel_field()
    location = serializers.CharField()
    meeting_link = serializers.CharField(allow_null=True)
    hosts = HostNameSerializer(many=True)
    first_name = serializers.CharField()
    last_name = serializers.CharField()
    email = serializers.CharField()
    previous_start = InstantField(allow_null=True)
    may_reschedule = serializers.BooleanField()
    may_cancel = serializers.BooleanField()
    may_until = InstantField(allow_null=True, help_text="The earliest deadline of what is allowed now.")
    change = ChangeSerializer(allow_null=True, help_text="The latest requested change.")
    page = serializers.CharField(allow_null=True)


class CancelSerializer(ApiSerializer):
    reason = TextField(required=False, allow_blank=True, max_length=MAX_REASON)


class RescheduleSerializer(ApiSerializer):
    start = InstantField(help_text="The new start, with its offset; the duration stays.")


# For staff


class StaffCancelSerializer(CancelSerializer):
    attendee = serializers.UUIDField(required=False, help_text="The attendee who leaves a group appointment.")
    cancel_all = FlagField(required=False, help_text="Cancel a group appointment for every attendee.")


class HostSerializer(ApiSerializer):
    name = serializers.CharField()
    email = serializers.CharField()
    timezone = serializers.CharField()


class AttendeeSerializer(ApiSerializer):
    id = serializers.UUIDField(source="public_id")
    first_name = serializers.CharField()
    last_name = serializers.CharField()
    email = serializers.CharField()
    phone = serializers.CharField()
    company = serializers.CharField()
    timezone = serializers.CharField()
    language = serializers.CharField()
    status = EnumField("AttendeeStatus", Attendee.Status.values)
    answers = serializers.SerializerMethodField()

    def get_answers(self, row: Attendee) -> dict[str, str]:
        """Return the answers as meetergo stores them, wherever they were given."""
        return {str(name): build_answer(answer) for name, answer in row.custom_fields.items()}


class AppointmentSerializer(ApiSerializer):
    id = serializers.UUIDField(source="public_id")
    url = serializers.SerializerMethodField()
    meeting_type = serializers.CharField(
        source="meeting_type.slug", read_only=True, allow_null=True, help_text="The slug."
    )
    start = InstantField()
    end = InstantField()
    duration = serializers.IntegerField(source="minutes", read_only=True, help_text="Minutes.")
    status = EnumField("AppointmentStatus", Appointment.Status.values)
    is_changing = serializers.BooleanField(help_text="A cancellation or a reschedule is in progress.")
    channel = build_channel_field()
    location = serializers.CharField()
    meeting_link = serializers.CharField()
    cancelled_at = InstantField(allow_null=True)
    cancellation_reason = serializers.CharField()
    previous_start = InstantField(allow_null=True)
    reschedule_count = serializers.IntegerField()
    missing_since = InstantField(allow_null=True, help_text="Since when meetergo no longer returns it.")
    synced_at = InstantField(allow_null=True, help_text="When it was last read from meetergo.")
    note = serializers.CharField()
    hosts = HostSerializer(many=True)
    attendees = AttendeeSerializer(many=True)

    @cached_property
    def url_template(self) -> str:
        """The address of a row with a placeholder, so that a list of rows reverses it once."""
        return build_url(self, "appointment", PLACEHOLDER_ID)

    def get_url(self, row: Appointment) -> str:
        return self.url_template.replace(PLACEHOLDER_ID, str(row.public_id))
