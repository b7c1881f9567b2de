"""The list staff works with all day, a page for each appointment, and what can be done to them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from django import forms
from django.contrib import admin, messages
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import PermissionDenied
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from django_meetergo import links, pages
from django_meetergo.admin import timeline
from django_meetergo.admin.acts import FEW, Act, ActingAdmin, Told, make_action
from django_meetergo.admin.base import (
    StackedInline,
    hover,
    match_person,
    say_age,
    say_moment,
    say_moment_there,
)
from django_meetergo.admin.filters import (
    AppointmentAttention,
    ConnectionFilter,
    HostFilter,
    TypeFilter,
    WhenFilter,
)
from django_meetergo.admin.moving import MoveForm, ShiftForm, list_free
from django_meetergo.conf import connection_names
from django_meetergo.models import Appointment, AppointmentChange, Attendee, Host
from django_meetergo.services import batches, sync
from django_meetergo.services.changes import MAX_REASON
from django_meetergo.services.clients import client_for

#: Cancels and moves go to the workers beyond ``FEW``; so many can be asked for at once.
MANY = 1000
State = AppointmentChange.State

#: The admin's own pictures for how a change ended, or did not; all others wait.
PICTURES = {
    State.DONE: "admin/img/icon-yes.svg",
    State.REFUSED: "admin/img/icon-no.svg",
    State.UNKNOWN: "admin/img/icon-unknown.svg",
}


# What can be done


def plan_change(row: Appointment) -> str:
    """Why an appointment is left alone; empty when it can be changed."""
    if row.is_cancelled:
        return gettext("Already cancelled – left alone")
    if row.missing_since:
        return gettext("Missing at meetergo – left alone")
    if row.start <= timezone.now():
        return gettext("Past – left alone")
    if row.changes.filter(state__in=AppointmentChange.OPEN).exists():
        return gettext("Is being changed just now – left alone")
    return ""


def list_going(row: Appointment) -> list[Attendee]:
    return [one for one in row.attendees.all() if one.status == Attendee.Status.ATTENDING]


def join_few(names: Sequence[str]) -> str:
    """The first two, and how many more there are."""
    shown = ", ".join(filter(None, names[:2]))
    return f"{shown} +{len(names) - 2}" if len(names) > 2 else shown


def say_who(row: Appointment) -> str:
    """Who will be told: meetergo mails them."""
    return join_few([one.email or one.full_name for one in list_going(row)])


def name_row(row: Appointment, start: datetime | None = None) -> str:
    """Who, what and when, by the site's clock."""
    who = join_few([str(one) for one in list_going(row)])
    what = f"{row.meeting_type or gettext('Appointment')}, {say_moment(start or row.start)}"
    return " · ".join(filter(None, [who, what]))


class AboutAppointments(Act):
    """Acts on appointments call them what the list calls them."""

    def describe(self, row: Appointment) -> str:
        return name_row(row)


class ReasonForm(forms.Form):
    reason = forms.CharField(
        label=_("Reason (optional)"),
        required=False,
        max_length=MAX_REASON,
        widget=forms.Textarea(attrs={"rows": 3, "cols": 60}),
        help_text=_("The people in these appointments will read it."),
    )


class Change(AboutAppointments):
    """A cancel or a move: many at once, each with a row of its own that tells how it goes."""

    limit = MANY

    def ask_for(
        self, request: HttpRequest, rows: Sequence[Appointment], form: Any, batch: UUID
    ) -> batches.Asked:
        raise NotImplementedError

    def run(self, admin: Any, request: HttpRequest, rows: Sequence[Any], form: forms.Form) -> HttpResponse:
        batch = uuid4()
        asked = self.ask_for(request, rows, form, batch)
        for appointment, error in asked.refused:
            messages.error(request, f"{name_row(appointment)}: {error}")
        for change in asked.changes:
            admin.log_change(
                request, change.appointment, f"{self.label} {form.cleaned_data.get('reason', '')}"
            )
        if not asked.changes:
            return HttpResponseRedirect(admin.way_back(rows))
        if len(asked.changes) <= FEW:
            batches.send_batch(batch=batch, now=timezone.now())
        return HttpResponseRedirect(admin.own_url("batch", batch))


class Cancel(Change):
    name = permission = "cancel"
    label = _("Cancel…")
    form_class = ReasonForm

    def question(self, number: int) -> str:
        text = ngettext("Cancel %(number)d appointment?", "Cancel %(number)d appointments?", number)
        return text % {"number": number}

    def button(self, number: int) -> str:
        text = ngettext("Yes, cancel %(number)d appointment", "Yes, cancel %(number)d appointments", number)
        return text % {"number": number}

    def plan(self, row: Appointment) -> tuple[bool, str]:
        if why_not := plan_change(row):
            return False, why_not
        if who := say_who(row):
            return True, gettext("Will be cancelled; %(who)s will be told") % {"who": who}
        return True, gettext("Will be cancelled")

    def ask_for(
        self, request: HttpRequest, rows: Sequence[Appointment], form: Any, batch: UUID
    ) -> batches.Asked:
        return batches.cancel_appointments(
            appointments=rows,
            batch=batch,
            reason=form.cleaned_data["reason"],
            user=request.user,
            now=timezone.now(),
        )


class Move(Change):
    name, permission = "move", "reschedule"
    label = _("Move…")

    def question(self, number: int) -> str:
        text = ngettext("Move %(number)d appointment?", "Move %(number)d appointments?", number)
        return text % {"number": number}

    def button(self, number: int) -> str:
        text = ngettext("Yes, move %(number)d appointment", "Yes, move %(number)d appointments", number)
        return text % {"number": number}

    def plan(self, row: Appointment) -> tuple[bool, str]:
        if why_not := plan_change(row):
            return False, why_not
        if who := say_who(row):
            return True, gettext("Will be moved; %(who)s will be told") % {"who": who}
        return True, gettext("Will be moved")

    def build_form(self, request: HttpRequest, rows: Sequence[Any], data: Any = None) -> forms.Form:
        if len(rows) == 1:
            return MoveForm(data, starts=list_free(rows[0]))
        return ShiftForm(data)

    def ask_for(
        self, request: HttpRequest, rows: Sequence[Appointment], form: Any, batch: UUID
    ) -> batches.Asked:
        moves = form.list_moves(rows)
        return batches.reschedule_appointments(
            moves=moves, batch=batch, user=request.user, now=timezone.now()
        )


class FetchAgain(AboutAppointments):
    name, permission = "fetch", "sync"
    label = _("Fetch again")

    def question(self, number: int) -> str:
        text = ngettext("Fetch %(number)d appointment?", "Fetch %(number)d appointments?", number)
        return text % {"number": number}

    def button(self, number: int) -> str:
        return gettext("Yes, fetch again")

    def plan(self, row: Appointment) -> tuple[bool, str]:
        return True, gettext("Will be read from meetergo; last read: %(age)s") % {
            "age": say_age(row.synced_at)
        }

    def carry_out(self, request: HttpRequest, row: Appointment, form: forms.Form) -> Told:
        before = row.digest
        client = client_for(row.connection, "reread")
        read = sync.sync_appointment(appointment=row, client=client, now=timezone.now())
        if read.missing_since:
            return Told(text=gettext("meetergo does not know it any more"), level=messages.WARNING)
        if read.digest == before:
            return Told(text=gettext("unchanged"))
        return Told(text=gettext("fetched"))


class ShowLinks(AboutAppointments):
    """The attendees' own links. Whoever has one may move and cancel: seeing it is an act, and logged."""

    name = permission = "link"
    label = _("Copy attendee's link…")

    def question(self, number: int) -> str:
        return gettext("Show the attendees' links?")

    def button(self, number: int) -> str:
        return gettext("Yes, show the links")

    def plan(self, row: Appointment) -> tuple[bool, str]:
        if not list_going(row):
            return False, gettext("Nobody attends – left alone")
        return True, gettext("Whoever has the link can move and cancel the appointment")

    def run(self, admin: Any, request: HttpRequest, rows: Sequence[Any], form: forms.Form) -> HttpResponse:
        shown: list[Any] = []
        for row in rows:
            shown += [(name_row(row), one, links.absolute(links.manage(one))) for one in list_going(row)]
            admin.log_change(request, row, gettext("Saw the attendees' links"))
        response: HttpResponse = admin.show(
            request, "links.html", title=_("Attendees' links"), shown=shown, back=admin.way_back(rows)
        )
        response["Cache-Control"] = "no-store"
        return response


ACTS = (Move(), Cancel(), FetchAgain(), ShowLinks())


# People


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
        if kind and key and not exists(kind, key):
            raise forms.ValidationError(_("There is no such object."))
        return given

    def save(self, commit: bool = True) -> Any:  # noqa: FBT001, FBT002 - Django's signature
        self.instance.subject_type = self.cleaned_data.get("linked_kind")
        self.instance.subject_id = self.cleaned_data.get("linked_id") or ""
        if commit:
            self.instance.save(update_fields=["subject_type", "subject_id"])
        return self.instance


def exists(kind: ContentType, key: str) -> bool:
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
        return say_moment_there(row.appointment.start, row.timezone) or "–"

    @admin.display(description=_("answers"))
    def answers(self, row: Attendee) -> SafeString | str:
        pairs = [(key, value) for key, value in row.custom_fields.items()]
        return format_html_join("", "{}: {}<br>", pairs) or "–"

    @admin.display(description=_("tied to"))
    def tied_to(self, row: Attendee) -> str:
        return ", ".join(str(one) for one in (row.user, row.subject) if one) or "–"


# The appointments


@admin.register(Appointment)
class AppointmentAdmin(ActingAdmin):
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
        own = Appointment.objects.order_by().filter(connection__in=connection_names(), remote_id=term)
        # One set of keys: with OR beside it, no database would begin with the people.
        return queryset.filter(pk__in=people.union(own.values("pk"))), False

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        """A day is read from its morning on; everything else from its latest."""
        return ("start", "pk") if request.GET.get("when") in {"today", "week", "upcoming"} else self.ordering

    # Columns

    @admin.display(description=_("start"), ordering="start")
    def when(self, row: Any) -> SafeString | str:
        return hover(say_moment(row.start), say_moment_there(row.start, row.zone_shown or ""))

    @admin.display(description=_("attendee"))
    def who(self, row: Any) -> SafeString | str:
        name = f"{row.first_name_shown or ''} {row.last_name_shown or ''}".strip()
        shown = name or row.email_shown or "–"
        more = (row.going or 0) - 1
        return hover(f"{shown} +{more}" if more > 0 else shown, row.email_shown or "")

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
        return pages.name_channel(row.channel) or "–"

    @admin.display(description=_("seen"), ordering="synced_at")
    def seen(self, row: Appointment) -> str:
        return say_age(row.synced_at)

    # The page of one

    @admin.display(description=_("when"))
    def when_long(self, row: Any) -> SafeString:
        local = timezone.localtime(row.start)
        minutes = int(row.duration.total_seconds() // 60)
        here = gettext("%(start)s (%(offset)s), %(minutes)d minutes") % {
            "start": say_moment(row.start),
            "offset": pages.format_offset(local),
            "minutes": minutes,
        }
        there = say_moment_there(row.start, row.zone_shown or "")
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
        link = pages.read_link(row.meeting_link)
        return format_html('<a href="{}" rel="noreferrer">{}</a>', link.url, link.url) if link else "–"

    @admin.display(description=_("cancelled"))
    def cancelled(self, row: Appointment) -> str:
        if not row.is_cancelled:
            return "–"
        parts = (say_moment(row.cancelled_at), row.cancelled_by, row.cancellation_reason)
        return ", ".join(filter(None, parts))

    @admin.display(description=_("moved"))
    def moved(self, row: Appointment) -> str:
        if not row.previous_start:
            return "–"
        words = {"number": row.reschedule_count, "start": say_moment(row.previous_start)}
        return gettext("%(number)d times, last from %(start)s") % words

    @admin.display(description=_("last read"))
    def seen_at(self, row: Appointment) -> str:
        return f"{say_moment(row.synced_at)} ({say_age(row.synced_at)})" if row.synced_at else say_age(None)

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
                    tell(row),
                )
                for row in changed
            ],
            back=self.own_url("changelist"),
        )


def name_progress(progress: batches.Progress) -> str:
    if not progress.is_over:
        return gettext("Under way")
    if progress.refused == progress.total:
        return gettext("Refused")
    return gettext("Done in part") if progress.refused else gettext("Done")


def tell(change: AppointmentChange) -> str:
    """How a change went, in words for staff."""
    match change.state:
        case State.DONE if change.kind == AppointmentChange.Kind.RESCHEDULE:
            return gettext("Moved to %(start)s") % {"start": say_moment(change.target_start)}
        case State.DONE:
            return gettext("Cancelled")
        case State.REFUSED if change.outcome == "slot_taken":
            return gettext("Refused: the new time is taken. The old time stands.")
        case State.REFUSED:
            return gettext("Refused: %(why)s") % {"why": change.message or change.outcome}
        case State.UNKNOWN:
            return gettext("Being checked: the answer was lost, or the change does not show yet")
    return gettext("Waiting to be sent")
