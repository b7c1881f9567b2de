"""Meeting types, hosts and data fields, mirrored from meetergo."""

from __future__ import annotations

import re
from collections.abc import Mapping

from django.conf import settings
from django.db import models
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from django_meetergo.conf import get_settings, list_connection_names
from django_meetergo.fields import ExactCharField
from django_meetergo.models.mirrored import Mirrored, ReadByConnection

#: Stands for all meeting types in ``BOOK_AT_MEETERGO``.
EVERY_SLUG = "*"


class Host(Mirrored):
    """A user of meetergo who holds appointments. An unknown name is empty."""

    name = models.CharField(_("name"), max_length=200, blank=True)
    email = models.CharField(_("e-mail address"), max_length=254, blank=True)
    timezone = models.CharField(_("time zone"), max_length=64, blank=True)
    calendars = models.PositiveSmallIntegerField(_("connected calendars"), null=True, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("staff user"),
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
        help_text=_(
            "Who this host is on this site. A user who may only see their own appointments sees this host's."
        ),
    )

    class Meta:
        verbose_name = _("host")
        verbose_name_plural = _("hosts")
        ordering = ["name", "pk"]
        constraints = [
            models.UniqueConstraint(fields=["connection", "remote_id"], name="meetergo_host_remote")
        ]

    def __str__(self) -> str:
        return self.name or self.remote_id

    @property
    def initials(self) -> str:
        """Return up to two letters, shown in place of a picture."""
        parts = self.name.split()
        return "".join(part[0] for part in parts[:1] + parts[1:][-1:]).upper()


class DataField(Mirrored):
    """A question as configured at meetergo. Booking forms ask it where staff choose it for a meeting type."""

    class Kind(models.TextChoices):
        TEXT = "text", _("text")
        MULTILINE = "multiline", _("text of several lines")
        EMAIL = "email", _("e-mail address")
        PHONE = "phone", _("phone number")
        NUMBER = "number", _("number")
        SELECT = "select", _("one choice from a list")
        RADIO = "radio", _("one choice")
        CHECKBOX = "checkbox", _("tick box")
        CHECKBOXES = "checkboxes", _("several choices")
        URL = "url", _("web address")
        DATE = "date", _("date")
        TIME = "time", _("time")
        YES_NO = "yes_no", _("yes or no")
        #: A file or a signature, which only meetergo's own page can ask for.
        UPLOAD = "upload", _("file or signature")

    name = ExactCharField(_("name at meetergo"), max_length=128, blank=True)
    label = models.CharField(_("question"), max_length=500)
    kind = models.CharField(_("type of answer"), max_length=16, choices=Kind, default=Kind.TEXT)
    required = models.BooleanField(_("required"), default=False)
    choices = models.JSONField(_("choices"), default=list, blank=True)
    position = models.PositiveIntegerField(default=0, editable=False)

    class Meta:
        verbose_name = _("question")
        verbose_name_plural = _("questions")
        ordering = ["position", "pk"]
        constraints = [
            models.UniqueConstraint(fields=["connection", "remote_id"], name="meetergo_datafield_remote")
        ]

    def __str__(self) -> str:
        return self.label

    @property
    def key(self) -> str:
        """Return the name of its answers in ``custom_fields``; the id for a name that no HTML id can hold."""
        key: str = self.name if re.fullmatch(r"[\w-]+", self.name) else self.remote_id
        return key


class MeetingTypeQuerySet(models.QuerySet["MeetingType"]):
    def bookable(self) -> MeetingTypeQuerySet:
        """Return meeting types that can be booked now: enabled, still listed, of a connection of this site.

        ``MeetingType.objects.bookable().filter(duration__lte=30)``
        """
        names = list_connection_names()
        connected = models.Q(connection__in=names) | models.Q(read_by__in=names)
        return self.filter(connected, enabled=True, missing_since=None)

    def bookable_here(self) -> MeetingTypeQuerySet:
        """Return bookable meeting types whose pages do not lead to meetergo's own page.

        ``MeetingType.objects.bookable_here().order_by("name")``
        """
        chosen = get_settings().BOOK_AT_MEETERGO
        rows = self.bookable().filter(needs_own_page=False, needs_upload=False).exclude(slug__in=chosen)
        return rows.none() if EVERY_SLUG in chosen else rows


class MeetingType(ReadByConnection):
    """A type of appointment that attendees can book. Durations are minutes."""

    class Confirmation(models.TextChoices):
        NONE = "none", _("none")
        ATTENDEE = "attendee", _("by the attendee")
        HOST = "host", _("by the host")
        BOTH = "both", _("by host and attendee")
        UNKNOWN = "unknown", _("unknown")

    class CalculationMethod(models.TextChoices):
        ANYONE = "anyone", _("any host of the queue")
        EVERYONE = "everyone", _("all hosts of the queue together")

    slug = models.SlugField(_("slug"), max_length=200, unique=True)
    name = models.CharField(_("name"), max_length=200)
    description = models.TextField(_("description"), blank=True)
    duration = models.PositiveIntegerField(_("duration"), default=30)
    allowed_durations = models.JSONField(_("allowed durations"), default=list, blank=True)
    channel = models.CharField(_("channel"), max_length=64, blank=True)
    allowed_channels = models.JSONField(_("channels to choose from"), default=list, blank=True)
    locations = models.JSONField(_("places"), default=list, blank=True)
    spots = models.PositiveIntegerField(_("seats"), default=1)
    host_ids = models.JSONField(_("host ids"), default=list, blank=True, editable=False)
    queue_id = ExactCharField(_("queue id"), max_length=128, blank=True, editable=False)
    enabled = models.BooleanField(_("enabled"), default=True)
    booking_url = models.URLField(_("page at meetergo"), max_length=500, blank=True)
    redirect_url = models.URLField(_("redirect after booking"), max_length=500, blank=True)
    confirmation = models.CharField(
        _("confirmation"), max_length=16, choices=Confirmation, default=Confirmation.UNKNOWN
    )
    needs_own_page = models.BooleanField(_("can only be booked at meetergo"), default=False)
    needs_upload = models.BooleanField(default=False, editable=False)
    allows_guests = models.BooleanField(_("guests may be invited"), default=True)
    allows_phone_only = models.BooleanField(_("a phone number is enough"), default=False)
    calculation_method = models.CharField(
        _("hosts needed"), max_length=16, choices=CalculationMethod, default=CalculationMethod.ANYONE
    )
    hosts = models.ManyToManyField(Host, verbose_name=_("hosts"), related_name="meeting_types", blank=True)
    data_fields = models.ManyToManyField(
        DataField,
        verbose_name=_("questions"),
        related_name="meeting_types",
        blank=True,
        help_text=_(
            "Questions as configured at meetergo, which the booking form of this site asks too. If a "
            "file or a signature is required, the meeting type is booked at meetergo."
        ),
    )

    objects = MeetingTypeQuerySet.as_manager()

    class Meta:
        verbose_name = _("meeting type")
        verbose_name_plural = _("meeting types")
        ordering = ["name", "pk"]
        permissions = [("link_meetingtype", "Can create one-time booking links")]
        constraints = [
            models.UniqueConstraint(fields=["connection", "remote_id"], name="meetergo_meetingtype_remote")
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        """Return the path of the page where this type is booked."""
        return reverse("meetergo:book", args=[self.slug])

    @property
    def display_name(self) -> str:
        """The name in the active language: that of ``TRANSLATIONS``, or meetergo's."""
        return str(self._texts.get("name") or self.name)

    @property
    def display_description(self) -> str:
        """The description in the active language: that of ``TRANSLATIONS``, or meetergo's."""
        return str(self._texts.get("description") or self.description)

    @property
    def _texts(self) -> Mapping[str, str]:
        return get_settings().TRANSLATIONS.get(self.slug, {})

    @property
    def is_booked_at_meetergo(self) -> bool:
        """Whether its pages lead to meetergo's: it needs that, or ``BOOK_AT_MEETERGO`` names it."""
        chosen = get_settings().BOOK_AT_MEETERGO
        return self.needs_own_page or self.needs_upload or self.slug in chosen or EVERY_SLUG in chosen

    @property
    def durations(self) -> list[int]:
        """Return every duration that can be booked, in minutes, shortest first."""
        return sorted({self.duration, *self.allowed_durations})

    def list_host_ids(self) -> list[str]:
        """Return meetergo's ids of the hosts. Costs a statement for a host queue."""
        if self.host_ids:
            return list(self.host_ids)
        return list(self.hosts.filter(missing_since=None).values_list("remote_id", flat=True))

    @property
    def is_bookable(self) -> bool:
        """Whether it can be booked now, as ``bookable()`` says for many."""
        return self.enabled and self.missing_since is None and self.is_connected

    @property
    def is_group(self) -> bool:
        return self.spots > 1

    @property
    def only_host_id(self) -> str:
        """Return the remote id of the host, for types with one host and one seat; else an empty text."""
        has_one_host = not self.queue_id and len(self.host_ids) == 1 and not self.is_group
        return self.host_ids[0] if has_one_host else ""
