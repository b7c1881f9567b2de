"""The database records, one file per subject. Models never call meetergo."""

from django_meetergo.models.appointments import Appointment, Attendee, may_see_appointments, sees_own_only
from django_meetergo.models.bookings import Booking, BookingAttempt
from django_meetergo.models.changes import AppointmentChange
from django_meetergo.models.connections import Connection, ErasedPerson
from django_meetergo.models.deliveries import WebhookDelivery
from django_meetergo.models.directory import DataField, Host, MeetingType
from django_meetergo.models.events import Event
from django_meetergo.models.feeds import CalendarFeed
from django_meetergo.models.leases import Lease, Leased
from django_meetergo.models.people import fold_email
from django_meetergo.models.syncs import SyncRun

__all__ = [
    "Appointment",
    "AppointmentChange",
    "Attendee",
    "Booking",
    "BookingAttempt",
    "CalendarFeed",
    "Connection",
    "DataField",
    "ErasedPerson",
    "Event",
    "Host",
    "Lease",
    "Leased",
    "MeetingType",
    "SyncRun",
    "WebhookDelivery",
    "fold_email",
    "may_see_appointments",
    "sees_own_only",
]
