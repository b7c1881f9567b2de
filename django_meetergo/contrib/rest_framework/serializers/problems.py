"""Problem documents."""

from __future__ import annotations

from rest_framework import serializers

from django_meetergo.contrib.rest_framework.serializers.base import ApiSerializer
from django_meetergo.contrib.rest_framework.serializers.meeting_types import SlotSerializer


class FieldErrorSerializer(ApiSerializer):
    code = serializers.CharField()
    message = serializers.CharField()


class ProblemSerializer(ApiSerializer):
    """RFC 9457."""

    type = serializers.CharField(help_text="Stable: decide by this.")
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField(required=False)


class InvalidSerializer(ProblemSerializer):
    errors = serializers.DictField(
        child=FieldErrorSerializer(many=True),
        required=False,
        help_text="Errors by field; an empty name stands for the whole request.",
    )
    booking = serializers.CharField(required=False, help_text="The address of the booking.")


class ConflictSerializer(ProblemSerializer):
    alternatives = SlotSerializer(
        many=True, required=False, help_text="At most four free times near the taken one, soonest first."
    )
    booking = serializers.CharField(
        required=False, help_text="The address of the booking; only for the client that made it."
    )
    reason = serializers.CharField(required=False, help_text="A stable code.")
    url = serializers.CharField(required=False, help_text="Where it can be booked.")


class UnavailableSerializer(ProblemSerializer):
    booking = serializers.CharField(required=False, help_text="The address of the booking that failed.")
