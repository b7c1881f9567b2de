"""What meetergo made of a wish: appointments and the people in them."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from django_meetergo.fields import EncryptedTextField
from django_meetergo.models.directory import Host, MeetingType
from django_meetergo.models.mirrored import Mirrored
from django_meetergo.models.people import Person, index_names


class AppointmentQuerySet(models.QuerySet["Appointment"]):
    def active(self) -> AppointmentQuerySet:
        """Appointments that will be held as far as we know."""
        return self.filter(status=Appointment.Status.CONFIRMED, missing_since=None)

    def upcoming(self, now: datetime) -> AppointmentQuerySet:
        return self.active().filter(start__gte=now)


class Appointment(Mirrored):
    """A time that stands, or stood, in somebody's calendar at meetergo."""

    class Status(models.TextChoices):
        CONFIRMED = "confirmed", _("confirmed")
        CANCELLED = "cancelled", _("cancelled")

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    meeting_type = models.ForeignKey(
        MeetingType,
        verbose_name=_("meeting type"),
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="appointments",
    )
    start = models.DateTimeField(_("start"), db_index=True)
    end = models.DateTimeField(_("end"))
    status = models.CharField(_("status"), max_length=16, choices=Status, default=Status.CONFIRMED)
    channel = models.CharField(_("channel"), max_length=64, blank=True)
    meeting_link = models.URLField(_("link to join"), max_length=1000, blank=True)
    location = models.CharField(_("place"), max_length=500, blank=True)
    cancelled_at = models.DateTimeField(_("cancelled at"), null=True, blank=True)
    cancelled_by = models.CharField(_("cancelled by"), max_length=64, blank=True)
    cancellation_reason = models.TextField(_("reason for cancelling"), blank=True)
    rescheduled_at = models.DateTimeField(_("moved at"), null=True, blank=True)
    reschedule_count = models.PositiveIntegerField(_("times moved"), default=0)
    previous_start = models.DateTimeField(_("moved from"), null=True, blank=True)
    secret = EncryptedTextField(blank=True, editable=False)
    hosts = models.ManyToManyField(Host, verbose_name=_("hosts"), related_name="appointments", blank=True)
    remote_created_at = models.DateTimeField(_("created at meetergo"), null=True, editable=False)
    remote_updated_at = models.DateTimeField(_("changed at meetergo"), null=True, editable=False)
    note = models.TextField(_("note"), blank=True, help_text=_("Ours alone: meetergo does not see it."))

    objects = AppointmentQuerySet.as_manager()

    class Meta:
        verbose_name = _("appointment")
        verbose_name_plural = _("appointments")
        ordering = ["-start", "-pk"]
        permissions = [
            ("cancel_appointment", "Can cancel appointments"),
            ("reschedule_appointment", "Can move appointments"),
            ("sync_appointment", "Can fetch appointments again"),
            ("link_appointment", "Can see the links of attendees"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["connection", "remote_id"], name="meetergo_appointment_remote")
        ]
        indexes = [
            models.Index(
                fields=["missing_since"],
                name="meetergo_appointment_missing",
                condition=models.Q(missing_since__isnull=False),
            ),
            models.Index(
                fields=["start"],
                name="meetergo_appointment_cancelled",
                condition=models.Q(status="cancelled"),
            ),
        ]

    def __str__(self) -> str:
        name = self.meeting_type.name if self.meeting_type else _("Appointment")
        return f"{name}, {timezone.localtime(self.start):%Y-%m-%d %H:%M}"

    @property
    def is_cancelled(self) -> bool:
        return self.status == self.Status.CANCELLED

    @property
    def duration(self) -> timedelta:
        return self.end - self.start


class Attendee(Mirrored, Person):
    """One person in one appointment. The remote id is unknown until the appointment has been read."""

    class Status(models.TextChoices):
        ATTENDING = "attending", _("attending")
        REMOVED = "removed", _("removed")

    remote_id = models.CharField(_("meetergo id"), max_length=128, null=True)  # type: ignore[assignment]
    appointment = models.ForeignKey(
        Appointment, verbose_name=_("appointment"), on_delete=models.CASCADE, related_name="attendees"
    )
    status = models.CharField(_("status"), max_length=16, choices=Status, default=Status.ATTENDING)

    class Meta:
        verbose_name = _("attendee")
        verbose_name_plural = _("attendees")
        ordering = ["pk"]
        indexes = index_names("attendee")
        constraints = [
            models.UniqueConstraint(
                fields=["connection", "appointment", "remote_id"], name="meetergo_attendee_remote"
            )
        ]

    def __str__(self) -> str:
        return self.full_name or self.email or self.phone
