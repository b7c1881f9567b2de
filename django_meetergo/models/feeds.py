"""Calendar feeds that staff subscribe to."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from django_meetergo.models.directory import Host


class CalendarFeed(models.Model):
    """A secret address from which a calendar app fetches appointments. Deleting the row revokes it.

    It never shows more than its user may see, and nothing once that user may see nothing.
    """

    public_id = models.UUIDField(_("public ID"), default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(_("name"), max_length=100, help_text=_("For example the calendar that uses it."))
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("created by"),
        on_delete=models.CASCADE,
        related_name="+",
        editable=False,
    )
    host = models.ForeignKey(
        Host,
        verbose_name=_("host"),
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="+",
        help_text=_("Leave this empty for the appointments of all hosts."),
    )
    shows_details = models.BooleanField(
        _("with names, contact and place"),
        default=False,
        help_text=_(
            "Otherwise the feed contains only the meeting type and initials. The calendar provider can read "
            "everything in it."
        ),
    )
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    fetched_at = models.DateTimeField(_("last fetched"), null=True, editable=False)

    class Meta:
        verbose_name = _("calendar feed")
        verbose_name_plural = _("calendar feeds")
        ordering = ["name", "pk"]

    def __str__(self) -> str:
        return self.name
