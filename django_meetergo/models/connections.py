"""What is known about each connection, and digests of erased people."""

import secrets

from django.db import models
from django.utils.translation import gettext_lazy as _

from django_meetergo.fields import EncryptedTextField, ExactCharField

#: Stored encrypted: reads as something else when the encryption keys do not fit.
CANARY_TEXT = "the keys fit"


def make_salt() -> str:
    return secrets.token_hex(16)


class Connection(models.Model):
    """What is known about the credential of a connection, its salt, and a canary for lost keys."""

    connection = ExactCharField(_("connection"), max_length=64, unique=True, default="default")
    salt = models.CharField(max_length=64, default=make_salt, editable=False)
    canary = EncryptedTextField(default=CANARY_TEXT, editable=False)
    company = ExactCharField(_("company id"), max_length=128, blank=True)
    mirror = ExactCharField(_("mirrored as connection"), max_length=64, blank=True)
    user_id = ExactCharField(_("acts as"), max_length=128, blank=True)
    is_admin = models.BooleanField(_("can read the appointments of all users"), default=False)
    refused_since = models.DateTimeField(_("credential refused since"), null=True)
    echoes_references = models.BooleanField(_("returns booking references"), null=True)
    webhook_remote_id = ExactCharField(_("webhook id"), max_length=128, blank=True)
    webhooks_used = models.PositiveSmallIntegerField(_("webhooks in use"), null=True)
    clock_skew = models.FloatField(_("clock skew in seconds"), null=True)
    directory_synced_at = models.DateTimeField(_("meeting types read"), null=True)
    last_drift = models.JSONField(_("last drift"), null=True)
    last_prune = models.JSONField(_("last deletion of old data"), null=True, editable=False)

    class Meta:
        verbose_name = _("connection")
        verbose_name_plural = _("connections")
        permissions = [
            ("health_connection", "Can see the health page"),
            ("sync_connection", "Can request a sync"),
        ]

    def __str__(self) -> str:
        return str(self.connection)


class ErasedPerson(models.Model):
    """A salted digest of an erased e-mail address, so that syncs do not store the person again."""

    digest = ExactCharField(_("digest"), max_length=64, unique=True)
    erased_at = models.DateTimeField(_("erased at"))

    class Meta:
        verbose_name = _("erased person")
        verbose_name_plural = _("erased people")

    def __str__(self) -> str:
        return str(self.digest)[:12]
