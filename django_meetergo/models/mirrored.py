"""The base class of rows that mirror objects of meetergo."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from django_meetergo.conf import list_connection_names
from django_meetergo.fields import ExactCharField


class Mirrored(models.Model):
    """A copy of an object of meetergo. Only ``services.mirror`` writes it; it is never deleted.

    ``connection`` is the first connection of the company that holds the object: what a company holds is
    stored once, whichever of its credentials has read it.
    """

    connection = ExactCharField(_("connection"), max_length=64, default="default")
    remote_id = ExactCharField(_("meetergo ID"), max_length=128)
    raw = models.JSONField(_("last document"), default=dict, editable=False)
    digest = ExactCharField(_("digest"), max_length=64, blank=True, editable=False)
    synced_at = models.DateTimeField(_("last read"), null=True, editable=False)
    missing_since = models.DateTimeField(_("missing since"), null=True, editable=False)

    class Meta:
        abstract = True


class ReadByConnection(Mirrored):
    """A mirrored row for which requests are sent, with the credential of the connection that reads it."""

    read_by = ExactCharField(_("read by connection"), max_length=64, blank=True, editable=False)

    class Meta:
        abstract = True

    @property
    def reader(self) -> str:
        """Return the connection whose credential is used for requests about this row."""
        chosen: str = self.read_by if self.read_by in list_connection_names() else self.connection
        return chosen

    @property
    def is_connected(self) -> bool:
        """Whether the settings still have a connection for requests about this row."""
        return self.reader in list_connection_names()


def is_read_by(connection: str) -> models.Q:
    """Return the condition for rows that a connection reads: those that ``reader`` names it for."""
    others = [name for name in list_connection_names() if name != connection]
    return models.Q(read_by=connection) | (models.Q(connection=connection) & ~models.Q(read_by__in=others))
