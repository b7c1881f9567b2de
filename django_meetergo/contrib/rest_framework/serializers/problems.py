"""Problem documents: one component per problem type, with the members that it can have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from django_meetergo.contrib.rest_framework import problems
from django_meetergo.contrib.rest_framework.fields import EnumField
from django_meetergo.contrib.rest_framework.problems import PROBLEM_TYPES, ProblemType
from django_meetergo.contrib.rest_framework.serializers.base import ApiSerializer
from django_meetergo.contrib.rest_framework.serializers.meeting_types import SlotSerializer
from django_meetergo.models import Booking

#: Why a change is not allowed. ``not_allowed``: the site's policy forbids it for a reason of its own.
CHANGE_REASONS = ("missing", "cancelled", "past", "group", "too_late", "unavailable", "not_allowed")
#: Why a booking ended without an appointment, where no other problem type says so.
CLOSED_REASONS = (
    Booking.Reason.NOT_BOOKED,
    Booking.Reason.LAPSED,
    Booking.Reason.DECLINED,
    Booking.Reason.REPLACED,
)


class FieldErrorSerializer(ApiSerializer):
    code = EnumField("FieldErrorCode", problems.ERROR_CODES)
    message = serializers.CharField(help_text="In the language of `Accept-Language`.")


def build_alternatives() -> serializers.Field:
    return SlotSerializer(many=True, help_text="At most four free times near the taken one, soonest first.")


def build_booking_url(description: str) -> serializers.Field:
    return serializers.CharField(required=False, help_text=description)


#: The members that a problem of this type has besides those of every problem.
MEMBERS: Mapping[ProblemType, Mapping[str, serializers.Field]] = {
    problems.INVALID: {
        "errors": serializers.DictField(
            child=FieldErrorSerializer(many=True),
            help_text="Errors by field; an empty name stands for the whole request.",
        ),
        "booking": build_booking_url("The address of the booking, where meetergo refused the fields."),
    },
    problems.SLOT_TAKEN: {
        "alternatives": build_alternatives(),
        "booking": build_booking_url("The address of the booking, if one was stored."),
    },
    problems.ALREADY_OPEN: {
        "booking": build_booking_url("The address of the open booking; only for the client that made it."),
    },
    problems.BOOKING_CLOSED: {
        "reason": EnumField("BookingClosedReason", CLOSED_REASONS),
        "booking": serializers.CharField(help_text="The address of the booking."),
        "alternatives": SlotSerializer(many=True, required=False, help_text="Free times near that one."),
    },
    problems.BOOKED_ELSEWHERE: {
        "url": serializers.CharField(required=False, help_text="Where it can be booked."),
    },
    problems.CHANGE_NOT_ALLOWED: {
        "reason": EnumField("ChangeNotAllowedReason", CHANGE_REASONS),
        "policy_reason": serializers.CharField(
            required=False, help_text="The reason of the site's policy, where it is another one."
        ),
    },
    problems.UNAVAILABLE: {
        "booking": build_booking_url("The address of the booking that was not sent."),
    },
}


def build_serializer(kind: ProblemType) -> type[ApiSerializer]:
    """Return the serializer class that describes one problem type (RFC 9457)."""

    name = kind.schema_name
    fields: dict[str, Any] = {
        "type": EnumField(f"{name}Type", [kind.uri]),
        "title": serializers.CharField(help_text="In the language of `Accept-Language`."),
        "status": serializers.IntegerField(min_value=int(kind.status), max_value=int(kind.status)),
        "detail": serializers.CharField(required=False, help_text="A sentence to show, where there is one."),
        **MEMBERS.get(kind, {}),
    }
    serializer: type[ApiSerializer] = type(name, (ApiSerializer,), fields)
    described: type[ApiSerializer] = extend_schema_serializer(component_name=name)(serializer)
    return described


SERIALIZERS: Mapping[ProblemType, type[ApiSerializer]] = {
    kind: build_serializer(kind) for kind in PROBLEM_TYPES
}
