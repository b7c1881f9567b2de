"""Webhook deliveries."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from django_meetergo.fields import ExactCharField
from django_meetergo.models.leases import Leased


class WebhookDelivery(Leased):
    """A received webhook. It is only a reason to re-read the appointment; its body is not stored."""

    class State(models.TextChoices):
        PENDING = "pending", _("waiting")
        APPLIED = "applied", _("applied")
        IGNORED = "ignored", _("nothing to do")
        UNCONFIRMED = "unconfirmed", _("not confirmed by meetergo")
        DEAD = "dead", _("failed")

    connection = ExactCharField(_("connection"), max_length=64, default="default")
    digest = ExactCharField(_("digest"), max_length=64, editable=False)
    event_type = models.CharField(_("event"), max_length=64, blank=True)
    remote_id = ExactCharField(_("meetergo ID"), max_length=128, blank=True, db_index=True)
    state = models.CharField(_("state"), max_length=16, choices=State, default=State.PENDING)
    receive_count = models.PositiveIntegerField(_("times received"), default=1)
    received_at = models.DateTimeField(_("first received"))
    message = models.TextField(_("last problem"), blank=True)

    class Meta:
        verbose_name = _("webhook delivery")
        verbose_name_plural = _("webhook deliveries")
        ordering = ["-received_at", "-pk"]
        permissions = [("replay_webhookdelivery", "Can apply webhook deliveries again")]
        indexes = [
            models.Index(fields=["lease_token"], name="meetergo_delivery_lease"),
            models.Index(fields=["state"], name="meetergo_delivery_state"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["connection", "digest"], name="meetergo_delivery_digest")
        ]

    def __str__(self) -> str:
        return f"{self.event_type} {self.remote_id}"
