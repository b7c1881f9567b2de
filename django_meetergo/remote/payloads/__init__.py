"""What goes out to meetergo and what comes back, as frozen dataclasses. camelCase ends here.

Reading is tolerant: unknown keys are ignored, optional fields of a wrong type become ``""`` or None.
Only what nobody can do without (the id and start of an appointment) raises ``UnreadableReply``.
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
from django_meetergo.remote.payloads.reading import build_instant
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
    "MeetingTypeDocument",
    "ProvisionalDocument",
    "ProvisionalPage",
    "QueueDocument",
    "RescheduleReply",
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
