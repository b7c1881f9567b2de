"""Appointments in the admin."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import PermissionDenied
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from django_meetergo.admin import timeline
from django_meetergo.admin.actions import ActionsMixin, make_action
from django_meetergo.admin.appointment_actions import (
    ACTS,
    MANY,
    PICTURES,
    list_going,
    name_progress,
    name_row,
    show_progress,
)
from django_meetergo.admin.base import (
    StackedInline,
    format_age,
    format_moment,
    format_moment_at_host,
    match_person,
    render_hover,
)
from django_meetergo.admin.filters import (
    AppointmentAttention,
    ConnectionFilter,
    HostFilter,
    TypeFilter,
    WhenFilter,
)
from django_meetergo.conf import list_connection_names
from django_meetergo.formatting import name_channel
from django_meetergo.models import Appointment, AppointmentChange, Attendee, Host
from django_meetergo.presentation.page_urls import parse_link
from django_meetergo.services.changes import batches
from django_meetergo.timezones import format_offset

State = AppointmentChange.State


class AttendeeForm(forms.ModelForm):  # type: ignore[type-arg]
    """What the site ties to a person. All else is meetergo's."""

    linked_kind = forms.ModelChoiceField(
        ContentType.objects.all(), label=capfirst(_("linked object: kind")), required=False
    )
    linked_id = forms.CharField(label=capfirst(_("linked object: id")), max_length=64, required=False)

    class Meta:
        model = Attendee
        fields: list[str] = []

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["linked_kind"] = self.instance.subject_type_id
        self.initial["linked_id"] = self.instance.subject_id

    def clean(self) -> dict[str, Any]:
        given = super().clean() or self.cleaned_data
        kind, key = given.get("linked_kind"), given.get("linked_id")
        if bool(kind) != bool(key):
            raise forms.ValidationError(_("A linked object needs a kind and an id."))
        if kind and key and not attendee_exists(kind, key):
            raise forms.ValidationError(_("There is no such object."))
        return given

    def save(self, commit: bool = True) -> Any:  # noqa: FBT001, FBT002 - Django's signature
        self.instance.subject_type = self.cleaned_data.get("linked_kind")
        self.instance.subject_id = self.cleaned_data.get("linked_id") or ""
        if commit:
            self.instance.save(update_fields=["subject_type", "subject_id"])
        return self.instance


def attendee_exists(kind: ContentType, key: str) -> bool:
    model = kind.model_class()
    if model is None:
        return False
    try:
        return model._default_manager.filter(pk=key).exists()
    except (ValueError, forms.ValidationError):
        return False


class AttendeeInline(StackedInline):
    model = Attendee
    form = AttendeeForm
    extra = 0
    can_delete = False
    verbose_name_plural = _("People")
    fields = (
        ("person", "contact", "there"),
        ("answers", "status", "tied_to"),
        ("linked_kind", "linked_id"),
    )
    readonly_fields = ("person", "contact", "there", "answers", "status", "tied_to")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return (
            super().get_queryset(request).defer("raw").select_related("user", "appointment", "subject_type")
        )

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Who may see the appointment sees who comes."""
        user: Any = request.user
        return bool(
            user.has_perm("meetergo.view_appointment") or user.has_perm("meetergo.change_appointment")
        )

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        user: Any = request.user
        return bool(user.has_perm("meetergo.change_appointment"))

    @admin.display(description=_("name"))
    def person(self, row: Attendee) -> str:
        return row.full_name or "–"

    @admin.display(description=_("contact"))
    def contact(self, row: Attendee) -> SafeString:
        parts = filter(None, [row.email, row.phone, row.company])
        return format_html_join("", "{}<br>", ((part,) for part in parts))

    @admin.display(description=_("start there"))
    def there(self, row: Attendee) -> str:
        return format_moment_at_host(row.appointment.start, row.timezone) or "–"

    @admin.display(description=_("answers"))
    def answers(self, row: Attendee) -> SafeString | str:
        pairs = [(key, value) for key, value in row.custom_fields.items()]
        return format_html_join("", "{}: {}<br>", pairs) or "–"

    @admin.display(description=_("tied to"))
    def tied_to(self, row: Attendee) -> str:
        return ", ".join(str(one) for one in (row.user, row.subject) if one) or "–"


@admin.register(Appointment)
class AppointmentAdmin(ActionsMixin):
    acts = ACTS
    actions = [make_action(act) for act in ACTS]
    inlines = [AttendeeInline]
    ordering = ("-start", "-pk")
    defer = ("raw", "secret")
    own_fields = ("note",)
    why_not = _(
        "Appointments are made and cancelled at meetergo and shown here as it tells them: that is why none "
        "can be added or deleted. To book for somebody, add a booking."
    )
    why_empty = _(
        "No appointment yet. Run manage.py meetergo_sync, or choose “Sync now” on an account's page."
    )
    list_display = ("when", "who", "meeting_type", "host", "state", "channel_name", "seen")
    list_display_links = ("when",)
    list_select_related = ("meeting_type",)
    list_filter = (
        WhenFilter,
        "status",
        AppointmentAttention,
        TypeFilter,
        HostFilter,
        ConnectionFilter,
    )
    search_fields = ("attendees__email_folded",)
    search_help_text = _("The beginning of an e-mail address or of a name, or a whole meetergo id.")
    fieldsets = (
        (
            _("Appointment"),
            {"fields": (("when_long", "state"), ("people", "meeting_type", "host_names"))},
        ),
        (
            _("From meetergo"),
            {"fields": (("channel_name", "join", "location"), ("cancelled", "moved", "seen_at"))},
        ),
        (_("Ours"), {"fields": ("note",)}),
        (_("Timeline"), {"fields": ("timeline",)}),
        (
            _("Technical"),
            {
                "classes": ("collapse",),
                "fields": (
                    "connection",
                    "remote_id",
                    "public_id",
                    "remote_created_at",
                    "remote_updated_at",
                    "missing_since",
                    "document",
                ),
            },
        ),
    )

    # Permissions

    def has_cancel_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.may(request, "cancel", obj)

    def has_reschedule_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.may(request, "reschedule", obj)

    def has_sync_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.may(request, "sync", obj)

    def has_link_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.may(request, "link", obj)

    # Rows

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        people = Attendee.objects.filter(appointment=OuterRef("pk")).order_by("status", "pk")
        going = people.filter(status=Attendee.Status.ATTENDING).order_by().values("appointment")
        hosts = Host.objects.filter(appointments=OuterRef("pk")).order_by("name")
        rows: QuerySet[Any] = super().get_queryset(request)
        # Other tables' columns in the list's own statement: a hundred rows cost no more than one.
        listed: QuerySet[Any] = rows.annotate(
            first_name_shown=Subquery(people.values("first_name")[:1]),
            last_name_shown=Subquery(people.values("last_name")[:1]),
            email_shown=Subquery(people.values("email")[:1]),
            zone_shown=Subquery(people.values("timezone")[:1]),
            going=Subquery(going.annotate(number=Count("pk")).values("number")),
            host_shown=Subquery(hosts.values("name")[:1]),
        )
        return listed

    def list_rows(self, request: HttpRequest, ids: Sequence[int]) -> list[Any]:
        rows = self.get_queryset(request).filter(pk__in=ids).defer("raw")
        return list(
            rows.select_related("meeting_type").prefetch_related("attendees").order_by(*self.ordering)
        )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        people = Attendee.objects.order_by().filter(match_person(term)).values("appointment")
        own = Appointment.objects.order_by().filter(connection__in=list_connection_names(), remote_id=term)
        # One set of keys: with OR beside it, no database would begin with the people.
        return queryset.filter(pk__in=people.union(own.values("pk"))), False

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        """A day is read from its morning on; everything else from its latest."""
        return ("start", "pk") if request.GET.get("when") in {"today", "week", "upcoming"} else self.ordering

    # Columns

    @admin.display(description=_("start"), ordering="start")
    def when(self, row: Any) -> SafeString | str:
        return render_hover(format_moment(row.start), format_moment_at_host(row.start, row.zone_shown or ""))

    @admin.display(description=_("attendee"))
    def who(self, row: Any) -> SafeString | str:
        name = f"{row.first_name_shown or ''} {row.last_name_shown or ''}".strip()
        shown = name or row.email_shown or "–"
        more = (row.going or 0) - 1
        return render_hover(f"{shown} +{more}" if more > 0 else shown, row.email_shown or "")

    @admin.display(description=_("host"))
    def host(self, row: Any) -> str:
        return row.host_shown or "–"

    @admin.display(description=_("status"), ordering="status")
    def state(self, row: Appointment) -> str:
        if row.missing_since:
            return gettext("missing at meetergo")
        return row.get_status_display()

    @admin.display(description=_("channel"))
    def channel_name(self, row: Appointment) -> str:
        return name_channel(row.channel) or "–"

    @admin.display(description=_("seen"), ordering="synced_at")
    def seen(self, row: Appointment) -> str:
        return format_age(row.synced_at)

    # The page of one

    @admin.display(description=_("when"))
    def when_long(self, row: Any) -> SafeString:
        local = timezone.localtime(row.start)
        minutes = int(row.duration.total_seconds() // 60)
        here = gettext("%(start)s (%(offset)s), %(minutes)d minutes") % {
            "start": format_moment(row.start),
            "offset": format_offset(local),
            "minutes": minutes,
        }
        there = format_moment_at_host(row.start, row.zone_shown or "")
        if not there:
            return format_html("{}", here)
        return format_html("{}<br>{}", here, gettext("For the attendee: %(when)s") % {"when": there})

    @admin.display(description=_("People"))
    def people(self, row: Appointment) -> SafeString | str:
        """Who comes, before one has scrolled to them."""
        told = [" · ".join(filter(None, [one.full_name, one.email, one.phone])) for one in list_going(row)]
        return format_html_join("", "{}<br>", ((line,) for line in told)) or "–"

    @admin.display(description=_("hosts"))
    def host_names(self, row: Appointment) -> str:
        return ", ".join(str(host) for host in row.hosts.all()) or "–"

    @admin.display(description=_("link to join"))
    def join(self, row: Appointment) -> SafeString | str:
        link = parse_link(row.meeting_link)
        return format_html('<a href="{}" rel="noreferrer">{}</a>', link.url, link.url) if link else "–"

    @admin.display(description=_("cancelled"))
    def cancelled(self, row: Appointment) -> str:
        if not row.is_cancelled:
            return "–"
        parts = (format_moment(row.cancelled_at), row.cancelled_by, row.cancellation_reason)
        return ", ".join(filter(None, parts))

    @admin.display(description=_("moved"))
    def moved(self, row: Appointment) -> str:
        if not row.previous_start:
            return "–"
        words = {"number": row.reschedule_count, "start": format_moment(row.previous_start)}
        return gettext("%(number)d times, last from %(start)s") % words

    @admin.display(description=_("last read"))
    def seen_at(self, row: Appointment) -> str:
        return (
            f"{format_moment(row.synced_at)} ({format_age(row.synced_at)})"
            if row.synced_at
            else format_age(None)
        )

    @admin.display(description=_("what happened"))
    def timeline(self, row: Appointment) -> SafeString:
        return timeline.describe(row)

    @admin.display(description=_("last document"))
    def document(self, row: Appointment) -> SafeString:
        text = json.dumps(row.raw, indent=2, ensure_ascii=False, sort_keys=True)
        return format_html("<pre>{}</pre>", text)

    # Batches

    def get_urls(self) -> list[Any]:
        return [self.own_path("batch/<uuid:batch>/", self.batch_view, "batch"), *super().get_urls()]

    def batch_view(self, request: HttpRequest, batch: UUID) -> HttpResponse:
        """How far a batch has come, and how each of its changes went."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        shown = self.get_queryset(request)
        rows = AppointmentChange.objects.filter(batch=batch, appointment__in=shown.values("pk"))
        rows = rows.select_related("appointment__meeting_type").prefetch_related("appointment__attendees")
        rows = rows.defer("appointment__raw", "appointment__secret")
        progress = batches.count_batch(batch=batch)
        if not progress.total:
            raise Http404
        changed = list(rows.order_by("pk")[:MANY])
        return self.show(
            request,
            "batch.html",
            title=name_progress(progress),
            progress=progress,
            changes=[
                (
                    name_row(row.appointment, row.previous_start),
                    self.own_url("change", row.appointment_id),
                    PICTURES.get(State(row.state), ""),
                    show_progress(row),
                )
                for row in changed
            ],
            back=self.own_url("changelist"),
        )
