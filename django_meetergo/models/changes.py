"""Requests to cancel, reschedule or hand over an appointment."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from django_meetergo.fields import ExactCharField
from django_meetergo.formatting import format_pair
from django_meetergo.models.appointments import Appointment, Attendee
from django_meetergo.models.directory import Host
from django_meetergo.models.leases import Leased


class AppointmentChange(Leased):
    """A request to cancel, reschedule or hand over an appointment, and its progress.

    At most one of a kind is open per appointment, or per attendee in groups: ``open_change_key`` is unique
    and NULL once the change has ended. A cancel may wait behind another open change.
    """

    class Kind(models.TextChoices):
        CANCEL = "cancel", _("cancel")
        RESCHEDULE = "reschedule", _("reschedule")
        HANDOFF = "handoff", _("hand over")

    class State(models.TextChoices):
        RECEIVED = "received", _("not sent yet")
        SENDING = "sending", _("being sent")
        UNKNOWN = "unknown", _("being checked")
        DONE = "done", _("done")
        REFUSED = "refused", _("refused")

    class Actor(models.TextChoices):
        HOST = "host", _("the host")
        ATTENDEE = "attendee", _("the attendee")

    OPEN = (State.RECEIVED, State.SENDING, State.UNKNOWN)
    #: The cancel reason that the host reads on an appointment that one booking got twice.
    SURPLUS_REASON = "Booked twice by mistake"

    appointment = models.ForeignKey(Appointment, on_delete=models.CASCADE, related_name="changes")
    attendee = models.ForeignKey(Attendee, null=True, on_delete=models.CASCADE, related_name="changes")
    kind = models.CharField(_("kind"), max_length=16, choices=Kind)
    state = models.CharField(_("state"), max_length=16, choices=State, default=State.RECEIVED)
    requested_by = models.CharField(_("requested by"), max_length=16, choices=Actor)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("user"),
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
    )
    previous_start = models.DateTimeField(_("start before"))
    target_start = models.DateTimeField(_("new start"), null=True)
    target_host = models.ForeignKey(
        Host, verbose_name=_("new host"), null=True, on_delete=models.PROTECT, related_name="+"
    )
    cancel_all = models.BooleanField(_("for all attendees"), default=False)
    reason = models.CharField(_("reason"), max_length=500, blank=True)
    outcome = models.CharField(_("why it was refused"), max_length=32, blank=True)
    message = models.TextField(_("meetergo's message"), blank=True)
    open_change_key = ExactCharField(max_length=64, null=True, unique=True, editable=False)
    batch = models.UUIDField(_("batch"), null=True, db_index=True, editable=False)
    created_at = models.DateTimeField(_("requested at"))
    outcome_deadline = models.DateTimeField(_("outcome known by"), null=True, editable=False)

    class Meta:
        verbose_name = _("change")
        verbose_name_plural = _("changes")
        ordering = ["-created_at", "-pk"]
        permissions = [("retry_appointmentchange", "Can send waiting changes")]

    def __str__(self) -> str:
        return format_pair(self.get_kind_display(), self.get_state_display())

    @property
    def reader(self) -> str:
        """The connection whose credential sends the change."""
        return self.appointment.reader

    @property
    def is_open(self) -> bool:
        return self.state in self.OPEN
