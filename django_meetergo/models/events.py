"""Events: the timeline of bookings and appointments, and the outbox of signals and mails."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from django_meetergo.fields import ExactCharField
from django_meetergo.models.appointments import Appointment, Attendee
from django_meetergo.models.bookings import Booking
from django_meetergo.models.leases import Leased


class Event(Leased):
    """One transition of a booking, an appointment or a connection, written once with the change itself.

    ``receivers`` maps each receiver that failed, by its dotted path, to ``{"tries", "error", "state"}``;
    the state is ``failing``, ``done`` or ``dead``.
    """

    class Kind(models.TextChoices):
        BOOKING_RECEIVED = "booking_received", _("request received")
        BOOKING_UNCLEAR = "booking_unclear", _("answer lost")
        BOOKING_RETRIED = "booking_retried", _("trying another time")
        BOOKING_REBOOKED = "booking_rebooked", _("booked at another time")
        BOOKING_PENDING = "booking_pending", _("waiting for confirmation")
        BOOKING_FOUND = "booking_found", _("found late")
        BOOKING_CLOSED = "booking_closed", _("closed without an appointment")
        BOOKING_NEEDS_STAFF = "booking_needs_staff", _("left to staff")
        APPOINTMENT_BOOKED = "appointment_booked", _("booked")
        APPOINTMENT_RESCHEDULED = "appointment_rescheduled", _("rescheduled")
        APPOINTMENT_HANDED_OVER = "appointment_handed_over", _("handed over")
        APPOINTMENT_CANCELLED = "appointment_cancelled", _("cancelled")
        ATTENDEE_REMOVED = "attendee_removed", _("attendee removed")
        CHANGE_FAILED = "change_failed", _("change given up")
        LINKS_REQUESTED = "links_requested", _("links requested")
        CREDENTIAL_REFUSED = "credential_refused", _("API key refused")
        SERVICE_AWAY = "service_away", _("meetergo out of reach")

    connection = ExactCharField(_("connection"), max_length=64, default="default")
    key = ExactCharField(_("key"), max_length=255, unique=True)
    kind = models.CharField(_("what happened"), max_length=32, choices=Kind)
    appointment = models.ForeignKey(Appointment, null=True, on_delete=models.CASCADE, related_name="events")
    attendee = models.ForeignKey(
        Attendee, verbose_name=_("attendee"), null=True, on_delete=models.CASCADE, related_name="events"
    )
    booking = models.ForeignKey(Booking, null=True, on_delete=models.CASCADE, related_name="events")
    data = models.JSONField(_("data"), default=dict)
    created_at = models.DateTimeField(_("when"))
    receivers = models.JSONField(default=dict, editable=False)
    dispatched_at = models.DateTimeField(_("dispatched at"), null=True)

    class Meta:
        verbose_name = _("event")
        verbose_name_plural = _("events")
        ordering = ["created_at", "pk"]
        permissions = [("retry_event", "Can call failed receivers again")]

    def __str__(self) -> str:
        return self.get_kind_display()
