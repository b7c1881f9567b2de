"""Sync runs and their progress."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from django_meetergo.fields import ExactCharField
from django_meetergo.formatting import format_pair
from django_meetergo.models.leases import Leased


class SyncRun(Leased):
    """One pass through the lists of meetergo. A page's rows and the checkpoint are committed together.

    ``skipped`` lists what could not be read or stored, as ``{"kind", "id", "reason"}``.
    """

    class Kind(models.TextChoices):
        NEAR = "near", _("near future")
        FULL = "full", _("full")
        DIRECTORY = "directory", _("meeting types and hosts")

    class State(models.TextChoices):
        OPEN = "open", _("running")
        DONE = "done", _("done")
        FAILED = "failed", _("failed")

    connection = ExactCharField(_("connection"), max_length=64, default="default")
    kind = models.CharField(_("kind"), max_length=16, choices=Kind)
    state = models.CharField(_("state"), max_length=16, choices=State, default=State.OPEN)
    open_run_key = ExactCharField(max_length=128, null=True, unique=True, editable=False)
    owner = ExactCharField(_("list of user"), max_length=128, blank=True)
    page = models.PositiveIntegerField(_("next page"), default=0)
    total = models.PositiveIntegerField(_("rows in all"), null=True)
    seen = models.PositiveIntegerField(_("rows read"), default=0)
    written = models.PositiveIntegerField(_("rows written"), default=0)
    window_start = models.DateTimeField(_("from"), null=True)
    window_end = models.DateTimeField(_("to"), null=True)
    started_at = models.DateTimeField(_("started"))
    finished_at = models.DateTimeField(_("finished"), null=True)
    message = models.TextField(_("problem"), blank=True)
    skipped = models.JSONField(_("skipped"), default=list, editable=False)

    class Meta:
        verbose_name = _("sync run")
        verbose_name_plural = _("sync runs")
        ordering = ["-started_at", "-pk"]

    def __str__(self) -> str:
        return format_pair(self.get_kind_display(), self.get_state_display())
