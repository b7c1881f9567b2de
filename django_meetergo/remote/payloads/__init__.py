"""The documents that meetergo sends and accepts, as frozen dataclasses.

Parsers ignore unknown keys. An optional field of a wrong type becomes ``""`` or None. Only a document without
an essential field, such as the id or the start of an appointment, raises ``UnreadableReply``.
"""

from django_meetergo.remote.payloads.appointments import (
    AppointmentDocument,
    AttendeeDocument,
    RescheduleReply,
    parse_appointment,
    parse_appointments,
    parse_attendee,
    parse_reschedule_reply,
)
from django_meetergo.remote.payloads.availability import Availability, BlockedSlot, Slot, parse_availability
from django_meetergo.remote.payloads.bookings import (
    AttendeePayload,
    BookingConfirmed,
    BookingPayload,
    BookingProvisional,
    ProvisionalDocument,
    build_booking,
    parse_booking_reply,
    parse_provisional_page,
)
from django_meetergo.remote.payloads.directory import (
    DataFieldDocument,
    HandoffHost,
    HostDocument,
    MeetingTypeDocument,
    parse_calendar_count,
    parse_data_fields,
    parse_handoff_hosts,
    parse_host,
    parse_host_page,
    parse_meeting_type,
    parse_meeting_types,
    parse_one_time_link,
    parse_queue,
)
from django_meetergo.remote.payloads.reading import ItemList, SkippedItem, build_instant, read_id
from django_meetergo.remote.payloads.webhooks import (
    Delivery,
    WebhookDocument,
    parse_delivery,
    parse_webhook,
    parse_webhooks,
)

__all__ = [
    "AppointmentDocument",
    "AttendeeDocument",
    "AttendeePayload",
    "Availability",
    "BlockedSlot",
    "BookingConfirmed",
    "BookingPayload",
    "BookingProvisional",
    "DataFieldDocument",
    "Delivery",
    "HandoffHost",
    "HostDocument",
    "ItemList",
    "MeetingTypeDocument",
    "ProvisionalDocument",
    "RescheduleReply",
    "SkippedItem",
    "Slot",
    "WebhookDocument",
    "build_booking",
    "build_instant",
    "parse_appointment",
    "parse_appointments",
    "parse_attendee",
    "parse_availability",
    "parse_booking_reply",
    "parse_calendar_count",
    "parse_data_fields",
    "parse_delivery",
    "parse_handoff_hosts",
    "parse_host",
    "parse_host_page",
    "parse_meeting_type",
    "parse_meeting_types",
    "parse_one_time_link",
    "parse_provisional_page",
    "parse_queue",
    "parse_reschedule_reply",
    "parse_webhook",
    "parse_webhooks",
    "read_id",
]
