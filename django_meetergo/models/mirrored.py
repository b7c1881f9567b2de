"""The base class of rows that mirror objects of meetergo."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from django_meetergo.fields import ExactCharField


class Mirrored(models.Model):
    """A copy of an object of meetergo. Only ``services.mirror`` writes it; it is never deleted."""

    connection = ExactCharField(_("connection"), max_length=64, default="default")
    remote_id = ExactCharField(_("meetergo id"), max_length=128)
    raw = models.JSONField(_("last document"), default=dict, editable=False)
    digest = ExactCharField(max_length=64, blank=True, editable=False)
    synced_at = models.DateTimeField(_("last read"), null=True, editable=False)
    missing_since = models.DateTimeField(_("missing since"), null=True, editable=False)

    class Meta:
        abstract = True
