"""Bookings that were requested on this site, and every attempt to send them."""

from __future__ import annotations

import hashlib
import secrets
import uuid
from datetime import datetime, timedelta

from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from django_meetergo import links
from django_meetergo.fields import ExactCharField
from django_meetergo.models.appointments import Attendee
from django_meetergo.models.directory import MeetingType
from django_meetergo.models.leases import Leased, LeasedQuerySet
from django_meetergo.models.people import Person, fold_email, index_names


def make_reference() -> str:
    """Return a random 80-bit reference, for example ``MG-0123456789ABCDEF0123``.

    It is sent with the booking and is neither secret nor personal.
    """
    return f"MG-{secrets.token_hex(10).upper()}"


def make_idempotency_key() -> str:
    return uuid.uuid4().hex


def hash_key(*parts: object) -> str:
    """Return a hexadecimal SHA-256 digest of the parts, for unique columns."""
    return hashlib.sha256("\n".join(str(part) for part in parts).encode()).hexdigest()


class BookingQuerySet(LeasedQuerySet["Booking"]):
    def open(self) -> BookingQuerySet:
        """Return bookings whose outcome is not final: received, sending, unknown or pending."""
        return self.filter(state__in=Booking.OPEN)


class Booking(Leased, Person):
    """A booking that was requested on this site.

    Final states: confirmed, closed (with a reason), or unknown and left to staff.
    """

    class State(models.TextChoices):
        RECEIVED = "received", _("received")
        SENDING = "sending", _("being sent")
        UNKNOWN = "unknown", _("being checked")
        PENDING = "pending", _("waiting for confirmation")
        CONFIRMED = "confirmed", pgettext_lazy("booking", "confirmed")
        CLOSED = "closed", _("closed")

    class Reason(models.TextChoices):
        NONE = "", "–"
        DEFERRED = "deferred", _("waiting for the service")
        NEEDS_STAFF = "needs_staff", _("left to staff")
        ATTENDEE = "attendee", _("the attendee must confirm")
        HOST = "host", _("the host must agree")
        BOTH = "both", _("host and attendee must confirm")
        SLOT_TAKEN = "slot_taken", _("the time was taken")
        REFUSED = "refused", _("refused by the service")
        UNREACHABLE = "unreachable", _("the service was not reached")
        NOT_BOOKED = "not_booked", _("not booked")
        LAPSED = "lapsed", _("not confirmed in time")
        DECLINED = "declined", _("declined by the host")
        REPLACED = "replaced", _("replaced by another choice")

    OPEN = (State.RECEIVED, State.SENDING, State.UNKNOWN, State.PENDING)

    connection = ExactCharField(_("connection"), max_length=64, default="default")
    meeting_type = models.ForeignKey(
        MeetingType, verbose_name=_("meeting type"), on_delete=models.PROTECT, related_name="bookings"
    )
    start = models.DateTimeField(_("start"))
    duration = models.PositiveIntegerField(_("duration in minutes"))
    channel = models.CharField(_("channel"), max_length=64, blank=True)
    location = models.CharField(_("place"), max_length=500, blank=True)
    other_emails = models.JSONField(_("guests"), default=list, blank=True)
    receive_reminders = models.BooleanField(_("wants reminders"), default=True)
    skip_notifications = models.BooleanField(_("without e-mails"), default=False)

    state = models.CharField(_("state"), max_length=16, choices=State, default=State.RECEIVED)
    reason = models.CharField(_("reason"), max_length=16, choices=Reason, default=Reason.NONE, blank=True)
    message = models.TextField(_("meetergo's message"), blank=True)
    field_errors = models.JSONField(_("refused fields"), default=dict, blank=True)
    defer_consent = models.BooleanField(_("may be sent later"), default=False)
    rebook_consent = models.JSONField(_("consent to another time"), null=True, blank=True)
    replaced_by = models.ForeignKey(
        "self",
        verbose_name=_("replaced by"),
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="replaces",
    )

    idempotency_key = ExactCharField(max_length=64, default=make_idempotency_key, editable=False)
    content_digest = ExactCharField(max_length=64, blank=True, editable=False)
    open_booking_key = ExactCharField(max_length=64, null=True, unique=True, editable=False)
    slot_hold_key = ExactCharField(max_length=64, null=True, unique=True, editable=False)
    reference = ExactCharField(
        _("reference"), max_length=32, unique=True, default=make_reference, editable=False
    )
    provisional_id = ExactCharField(_("provisional id"), max_length=128, blank=True, editable=False)
    attendee = models.OneToOneField(
        Attendee, null=True, on_delete=models.SET_NULL, related_name="booking", editable=False
    )

    created_at = models.DateTimeField(_("received at"))
    outcome_deadline = models.DateTimeField(_("outcome known by"), null=True, editable=False)
    first_absent_at = models.DateTimeField(null=True, editable=False)
    pending_since = models.DateTimeField(null=True, editable=False)
    closed_at = models.DateTimeField(_("closed at"), null=True, editable=False)

    objects = BookingQuerySet.as_manager()  # type: ignore[misc]

    class Meta:
        verbose_name = _("booking")
        verbose_name_plural = _("bookings")
        ordering = ["-created_at", "-pk"]
        permissions = [
            ("retry_booking", "Can send waiting bookings"),
            ("reconcile_booking", "Can reconcile bookings"),
            ("decline_booking", "Can decline bookings that wait for a host"),
        ]
        indexes = [
            *index_names("booking"),
            models.Index(fields=["start"], name="meetergo_booking_start"),
            models.Index(fields=["state", "next_at"], name="meetergo_booking_state"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["idempotency_key", "connection"], name="meetergo_booking_idempotency"
            )
        ]

    def __str__(self) -> str:
        return str(self.reference)

    # Not get_absolute_url(): Django's "view on site" shows that to every user who may open the admin.
    def get_outcome_url(self) -> str:
        """Return the path of the page that shows the outcome of this booking.

        Whoever knows the path sees the booking: show it to the person who booked only.
        """
        return links.get_booking_path(self)

    def hash_open_booking_key(self, booked_by: str) -> str | None:
        """Return the key that allows one open booking per meeting type, attendee and person who books.

        ``booked_by`` is the signed-in user, the visitor's browser or the site itself; empty if unknown, and
        then there is no key: the attendee's address alone makes none, because any visitor can enter it.
        """
        attendee = fold_email(self.email) or self.phone
        return hash_key(self.connection, self.meeting_type_id, booked_by, attendee) if booked_by else None

    def hash_slot_hold_key(self) -> str | None:
        """Return the key that allows one open booking per host and start, for one host with one seat."""
        host_id = self.meeting_type.only_host_id
        return hash_key(self.connection, host_id, int(self.start.timestamp())) if host_id else None

    @property
    def reader(self) -> str:
        """Return the connection whose credential is used for requests about this booking."""
        return self.meeting_type.reader

    @property
    def end(self) -> datetime:
        return self.start + timedelta(minutes=self.duration)

    @property
    def is_open(self) -> bool:
        return self.state in self.OPEN

    @property
    def original_start(self) -> datetime | None:
        """The start that was requested, if another one was tried since."""
        if not self.rebook_consent:
            return None
        requested = datetime.fromisoformat(self.rebook_consent["requested_start"])
        return requested if requested != self.start else None


class BookingAttempt(models.Model):
    """One POST that was sent or may have been sent. Rows are only added, never deleted."""

    class Outcome(models.TextChoices):
        SENDING = "", _("being sent")
        CONFIRMED = "confirmed", _("confirmed")
        PROVISIONAL = "provisional", _("to be confirmed")
        SLOT_TAKEN = "slot_taken", _("time taken")
        REFUSED = "refused", _("refused")
        NOT_SENT = "not_sent", _("not sent")
        UNKNOWN = "unknown", _("unknown")
        ABSENT = "absent", _("not applied")

    #: Outcomes after which another attempt is safe.
    DEFINITE = (
        Outcome.CONFIRMED,
        Outcome.PROVISIONAL,
        Outcome.SLOT_TAKEN,
        Outcome.REFUSED,
        Outcome.NOT_SENT,
        Outcome.ABSENT,
    )

    booking = models.ForeignKey(Booking, on_delete=models.CASCADE, related_name="attempts")
    number = models.PositiveIntegerField(_("number"))
    start = models.DateTimeField(_("start"))
    sent_at = models.DateTimeField(_("sent at"))
    #: For a group: the attendee ids of its appointment before this request; None when they were not read.
    known_attendee_ids = models.JSONField(null=True, editable=False)
    ended_at = models.DateTimeField(_("ended at"), null=True)
    outcome = models.CharField(_("outcome"), max_length=16, choices=Outcome, blank=True)
    status_code = models.PositiveIntegerField(_("status code"), null=True)
    error_type = models.TextField(_("error type"), blank=True)

    class Meta:
        verbose_name = _("attempt")
        verbose_name_plural = _("attempts")
        ordering = ["booking", "number"]
        constraints = [models.UniqueConstraint(fields=["booking", "number"], name="meetergo_attempt_number")]

    def __str__(self) -> str:
        return f"{self.booking_id}/{self.number}"
