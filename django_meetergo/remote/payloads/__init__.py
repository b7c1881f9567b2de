"""The documents that meetergo sends and accepts, as frozen dataclasses.

Parsers ignore unknown keys. An optional field of a wrong type becomes ``""`` or None. Only a document without
an essential field, such as the id or the start of an appointment, raises ``UnreadableReply``.
"""

from django_meetergo.remote.payloads.appointments import (
    AppointmentDocument,
    AppointmentPage,
    AttendeeDocument,
    RescheduleReply,
    parse_appointment,
    parse_appointment_page,
    parse_appointments,
    parse_attendee,
    parse_reschedule_reply,
)
from django_meetergo.remote.payloads.availability import Availability, BlockedSlot, Slot, parse_availability
from django_meetergo.remote.payloads.bookings import (
    CHANNELS,
    AttendeePayload,
    BookingConfirmed,
    BookingPayload,
    BookingProvisional,
    ProvisionalDocument,
    ProvisionalPage,
    build_booking,
    parse_booking_reply,
    parse_provisional_page,
)
from django_meetergo.remote.payloads.directory import (
    HostDocument,
    HostPage,
    MeetingTypeDocument,
    QueueDocument,
    UserDocument,
    parse_host,
    parse_host_page,
    parse_meeting_type,
    parse_meeting_types,
    parse_queue,
)
from django_meetergo.remote.payloads.reading import ItemList, SkippedItem, build_instant
from django_meetergo.remote.payloads.webhooks import (
    Delivery,
    UnknownDelivery,
    WebhookDocument,
    parse_delivery,
    parse_webhook,
    parse_webhooks,
)

__all__ = [
    "CHANNELS",
    "AppointmentDocument",
    "AppointmentPage",
    "AttendeeDocument",
    "AttendeePayload",
    "Availability",
    "BlockedSlot",
    "BookingConfirmed",
    "BookingPayload",
    "BookingProvisional",
    "Delivery",
    "HostDocument",
    "HostPage",
    "ItemList",
    "MeetingTypeDocument",
    "ProvisionalDocument",
    "ProvisionalPage",
    "QueueDocument",
    "RescheduleReply",
    "SkippedItem",
    "Slot",
    "UnknownDelivery",
    "UserDocument",
    "WebhookDocument",
    "build_booking",
    "build_instant",
    "parse_appointment",
    "parse_appointment_page",
    "parse_appointments",
    "parse_attendee",
    "parse_availability",
    "parse_booking_reply",
    "parse_delivery",
    "parse_host",
    "parse_host_page",
    "parse_meeting_type",
    "parse_meeting_types",
    "parse_provisional_page",
    "parse_queue",
    "parse_reschedule_reply",
    "parse_webhook",
    "parse_webhooks",
]
