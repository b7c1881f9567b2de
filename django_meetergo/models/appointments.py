"""Appointments and their attendees, mirrored from meetergo."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from django_meetergo import links
from django_meetergo.fields import EncryptedTextField, ExactCharField
from django_meetergo.formatting import describe_moment
from django_meetergo.models.directory import Host, MeetingType
from django_meetergo.models.mirrored import Mirrored, ReadByConnection
from django_meetergo.models.people import Person, index_names
from django_meetergo.timezones import choose_zone


def may_see_appointments(user: Any) -> bool:
    """Whether a staff user may see appointments, all or those of their own hosts, and so their attendees."""
    names = ("view_appointment", "view_own_appointment", "change_appointment")
    return any(user.has_perm(f"meetergo.{name}") for name in names)


def sees_own_only(user: Any) -> bool:
    """Whether a staff user may see the appointments of their own hosts, and no others.

    Without either permission a user sees none: the callers check that.
    """
    return bool(
        user.has_perm("meetergo.view_own_appointment") and not user.has_perm("meetergo.view_appointment")
    )


def is_account(user: Any) -> bool:
    """Whether the user is a stored row of the site's user model.

    The keys of others, such as those of stateless tokens, may be those of somebody else's account.
    """
    return isinstance(user, get_user_model()) and bool(user.pk)


class AppointmentQuerySet(models.QuerySet["Appointment"]):
    """Filters for appointments; they can be combined, as in ``.for_user(user).upcoming()``."""

    def active(self) -> AppointmentQuerySet:
        """Return appointments that are neither cancelled nor missing at meetergo.

        ``Appointment.objects.active().filter(hosts__email="anna@clinic.example")``
        """
        return self.filter(status=Appointment.Status.CONFIRMED, missing_since=None)

    def upcoming(self, now: datetime | None = None) -> AppointmentQuerySet:
        """Return active appointments that start at ``now`` (an aware datetime; by default: now) or later.

        ``Appointment.objects.upcoming().order_by("start")[:5]``
        """
        return self.active().filter(start__gte=now or timezone.now())

    def for_user(self, user: models.Model) -> AppointmentQuerySet:
        """Return appointments that have this user of the site as an attendee who was not removed.

        An anonymous user has none, nor has one that is no row of the site's user model.

        ``Appointment.objects.for_user(request.user).upcoming()``
        """
        return self._with_attendee(user=user.pk) if is_account(user) else self.none()

    def for_subject(self, subject: models.Model) -> AppointmentQuerySet:
        """Return appointments that were booked for this object of the site: ``subject=`` when booking.

        ``Appointment.objects.for_subject(treatment).active()``
        """
        kind = ContentType.objects.get_for_model(subject)
        return self._with_attendee(subject_type=kind, subject_id=str(subject.pk))

    def of_host_user(self, user: models.Model) -> AppointmentQuerySet:
        """Return appointments whose hosts include one that belongs to this staff user (``Host.user``).

        ``Appointment.objects.of_host_user(request.user).upcoming()``
        """
        if not is_account(user):
            return self.none()
        links = Appointment.hosts.through.objects.filter(appointment=models.OuterRef("pk"))
        return self.filter(models.Exists(links.filter(host__user=user.pk)))

    def _with_attendee(self, **columns: object) -> AppointmentQuerySet:
        attending = Attendee.objects.filter(status=Attendee.Status.ATTENDING, **columns)
        # A subquery: a join would repeat an appointment that several attendees match.
        return self.filter(pk__in=attending.values("appointment"))


class Appointment(ReadByConnection):
    """An appointment at meetergo, active or cancelled.

    ``start`` and ``end`` are aware datetimes, ``duration`` is a timedelta. ``note`` is stored on this site
    only. ``secret`` authorises calls on behalf of the attendee.
    """

    class Status(models.TextChoices):
        CONFIRMED = "confirmed", _("confirmed")
        CANCELLED = "cancelled", _("cancelled")

    class Attendance(models.TextChoices):
        UNKNOWN = "", _("not recorded")
        CAME = "came", _("came")
        NO_SHOW = "no_show", _("did not come")

    public_id = models.UUIDField(_("public ID"), default=uuid.uuid4, unique=True, editable=False)
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
    rescheduled_at = models.DateTimeField(_("rescheduled at"), null=True, blank=True)
    reschedule_count = models.PositiveIntegerField(_("times rescheduled"), default=0)
    #: Grows with each change of time or state, and whenever an attendee leaves: what calendar apps compare.
    revision = models.PositiveIntegerField(default=0, editable=False)
    previous_start = models.DateTimeField(_("rescheduled from"), null=True, blank=True)
    secret = EncryptedTextField(blank=True, editable=False)
    hosts = models.ManyToManyField(Host, verbose_name=_("hosts"), related_name="appointments", blank=True)
    remote_created_at = models.DateTimeField(_("created at meetergo"), null=True, editable=False)
    remote_updated_at = models.DateTimeField(_("changed at meetergo"), null=True, editable=False)
    note = models.TextField(
        _("note"), blank=True, help_text=_("Stored on this site only; meetergo does not receive it.")
    )
    attendance = models.CharField(
        _("attendance"), max_length=16, choices=Attendance, default=Attendance.UNKNOWN, blank=True
    )

    objects = AppointmentQuerySet.as_manager()

    class Meta:
        verbose_name = _("appointment")
        verbose_name_plural = _("appointments")
        ordering = ["-start", "-pk"]
        permissions = [
            ("view_own_appointment", "Can view own appointments only"),
            ("cancel_appointment", "Can cancel appointments"),
            ("reschedule_appointment", "Can reschedule appointments"),
            ("handoff_appointment", "Can hand appointments over to another host"),
            ("sync_appointment", "Can re-read appointments"),
            ("link_appointment", "Can see the links of attendees"),
            ("export_appointment", "Can export appointments"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["connection", "remote_id"], name="meetergo_appointment_remote")
        ]
        indexes = [
            models.Index(fields=["missing_since"], name="meetergo_appointment_missing"),
            models.Index(fields=["status", "start"], name="meetergo_appointment_status"),
        ]

    def __str__(self) -> str:
        name = self.meeting_type.name if self.meeting_type else _("Appointment")
        return f"{name}, {timezone.localtime(self.start):%Y-%m-%d %H:%M}"

    @property
    def display_name(self) -> str:
        """The name of its meeting type in the active language; “Appointment” for a type that is not known."""
        return self.meeting_type.display_name if self.meeting_type else str(_("Appointment"))

    @property
    def is_cancelled(self) -> bool:
        return self.status == self.Status.CANCELLED

    @property
    def duration(self) -> timedelta:
        return self.end - self.start

    @property
    def minutes(self) -> int:
        return round(self.duration.total_seconds() / 60)

    def list_hosts(self) -> list[Host]:
        """Return the hosts; those of the meeting type until the appointment has been read."""
        hosts = list(self.hosts.all())
        if hosts or self.meeting_type is None:
            return hosts
        return list(self.meeting_type.hosts.all())


class Attendee(Mirrored, Person):
    """One person in one appointment.

    ``remote_id`` is None until the appointment has been read: the answer to a booking names no attendee.
    """

    class Status(models.TextChoices):
        ATTENDING = "attending", _("attending")
        REMOVED = "removed", _("removed")

    remote_id = ExactCharField(_("meetergo ID"), max_length=128, null=True)
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

    @property
    def is_cancelled(self) -> bool:
        """Whether the appointment, or this attendee's place in it, has been cancelled."""
        return self.appointment.is_cancelled or self.status == self.Status.REMOVED

    def get_state(self, now: datetime, *, is_changing: bool = False) -> str:
        """Return ``changing`` (a change is open), ``cancelled``, ``missing``, ``past`` or ``upcoming``."""
        if is_changing:
            return "changing"
        if self.is_cancelled:
            return "cancelled"
        if self.appointment.missing_since:
            return "missing"
        return "past" if self.appointment.end <= now else "upcoming"

    def describe_start(self) -> str:
        """Return when the appointment begins, in the attendee's time zone and the active language.

        For example "Thursday 3 December 2026, 14:00 (New York time, GMT−5)".
        """
        return describe_moment(self.appointment.start, choose_zone(self.timezone, settings.TIME_ZONE))

    # Not get_absolute_url(): Django's "view on site" shows that to every user who may open the admin.
    def get_manage_url(self) -> str:
        """Return the path of the page where this attendee reschedules or cancels.

        Whoever knows the path can do so: show it to the attendee only.
        """
        return links.get_manage_path(self)
