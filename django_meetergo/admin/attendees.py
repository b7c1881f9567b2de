"""Attendees in the admin: within their appointment, and in a list of their own for searching."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, cast

from django import forms
from django.contrib import admin
from django.contrib.admin.widgets import AdminTextInputWidget
from django.contrib.contenttypes.models import ContentType
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _

from django_meetergo.admin.answers import find_question_fields, render_answers
from django_meetergo.admin.base import StackedInline, TermSearch, keep_initial
from django_meetergo.admin.display import format_moment_in_zone, render_contact
from django_meetergo.admin.filters import ConnectionFilter
from django_meetergo.admin.search import filter_by_phone, match_person
from django_meetergo.models import Appointment, Attendee, may_see_appointments, sees_own_only


class AttendeeForm(forms.ModelForm):  # type: ignore[type-arg]
    """Relates an attendee to one of the site's own records. The other columns are meetergo's."""

    related_type = forms.TypedChoiceField(
        label=capfirst(_("related record: type")),
        required=False,
        coerce=lambda key: find_type(key),
        empty_value=None,
    )
    related_id = forms.CharField(
        label=capfirst(_("related record: ID")),
        max_length=Attendee._meta.get_field("subject_id").max_length,
        required=False,
        widget=AdminTextInputWidget,
    )
    #: What the user may relate an attendee to; set for each page.
    types: Sequence[ContentType] = ()

    class Meta:
        model = Attendee
        fields: list[str] = []

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Also what is stored, and what the page showed: neither has to be one that this user may choose.
        types = list(dict.fromkeys([*self.list_kept_types(), *self.types]))
        cast(forms.ChoiceField, self.fields["related_type"]).choices = [
            ("", "---------"), *((each.pk, str(each)) for each in types)
        ]  # fmt: skip
        keep_initial(self.fields.values(), self.data, map(self.add_initial_prefix, self.fields))
        self.initial["related_type"] = self.instance.subject_type_id
        self.initial["related_id"] = self.instance.subject_id

    def list_kept_types(self) -> list[ContentType]:
        shown = self.data.get(self.add_initial_prefix("related_type"), "")
        kept = [find_type(key) for key in (self.instance.subject_type_id, shown)]
        return [kind for kind in kept if kind is not None]

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        kind, key = data.get("related_type"), data.get("related_id")
        if bool(kind) != bool(key):
            raise forms.ValidationError(_("Enter the type and the ID of the related record, or neither."))
        if kind and key and self.has_changed():
            record = find_record(kind, key) if kind in self.types else None
            if record is None:
                raise forms.ValidationError(_("There is no record of this type with this ID."))
            data["related_id"] = str(record.pk)
        return data

    def save(self, commit: bool = True) -> Any:  # noqa: FBT001, FBT002 - Django's signature
        self.instance.subject_type = self.cleaned_data.get("related_type")
        self.instance.subject_id = self.cleaned_data.get("related_id") or ""
        if commit:
            self.instance.save(update_fields=["subject_type", "subject_id"])
        return self.instance


def find_type(key: Any) -> ContentType | None:
    try:
        return ContentType.objects.get_for_id(int(key))
    except (ContentType.DoesNotExist, TypeError, ValueError, OverflowError):
        return None


def find_record(kind: ContentType, key: str) -> Any:
    """Return the row of a content type with this primary key; None when there is none."""
    model = kind.model_class()
    if model is None:
        return None
    try:
        return model._default_manager.filter(pk=key).first()
    except (ValueError, forms.ValidationError):
        return None


def list_related_types(user: Any) -> list[ContentType]:
    """Return the types of records that the user may see: the page of an attendee names a related record.

    A user who sees their own appointments only sees some rows of this app's tables, so all are left out.
    """
    hidden = {"meetergo"} if sees_own_only(user) else set()
    return [
        kind
        for kind in ContentType.objects.order_by("app_label", "model")
        if kind.app_label not in hidden
        and any(user.has_perm(f"{kind.app_label}.{action}_{kind.model}") for action in ("view", "change"))
    ]


class AttendeeColumns:
    """What the page of an appointment and that of an attendee show of an attendee alike."""

    find_fields = staticmethod(find_question_fields)

    @admin.display(description=_("answers"))
    def answers(self, row: Attendee) -> SafeString | str:
        return render_answers(row.custom_fields, self.find_fields(row.appointment.meeting_type))

    @admin.display(description=_("user account and related record"))
    def related_records(self, row: Attendee) -> str:
        return ", ".join(str(record) for record in (row.user, row.subject) if record) or "–"


class AttendeeInline(AttendeeColumns, StackedInline):
    model = Attendee
    form = AttendeeForm
    extra = 0
    can_delete = False
    verbose_name_plural = _("Attendees")
    fields = (
        ("person", "contact", "start_for_attendee"),
        ("answers", "status", "related_records"),
        ("related_type", "related_id"),
    )
    readonly_fields = ("person", "contact", "start_for_attendee", "answers", "status", "related_records")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Keep the questions: an instance serves one request, and all attendees have one meeting type."""
        super().__init__(*args, **kwargs)
        self.find_fields = cache(find_question_fields)

    def get_formset(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        formset: Any = super().get_formset(request, obj, **kwargs)
        formset.form.types = list_related_types(request.user)
        return formset

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request).defer("raw", "appointment__raw", "appointment__secret")
        return rows.select_related("user", "appointment__meeting_type", "subject_type")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may_see_appointments(request.user)

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

    @admin.display(description=_("start in the attendee's time zone"))
    def start_for_attendee(self, row: Attendee) -> str:
        return format_moment_in_zone(row.appointment.start, row.timezone) or "–"


@admin.register(Attendee)
class AttendeeAdmin(AttendeeColumns, TermSearch):
    """Finds people, also for ``autocomplete_fields`` of the site's own admins."""

    defer = ("raw", "appointment__raw", "appointment__secret")
    readonly_notice = _(
        "Attendees come from meetergo. Open the appointment to relate an attendee to a record of this site."
    )
    list_display = ("name", "contact", "appointment_link", "status")
    list_select_related = ("appointment__meeting_type",)
    list_filter = ("status", ConnectionFilter)
    search_fields = ("email_folded",)
    search_help_text = _("The start of a name or e-mail address, or a phone number.")
    fieldsets = (
        (None, {"fields": ("name", "contact", "company", "status", "appointment_link", "answers")}),
        (None, {"fields": ("zone", "related_records")}),
        (
            _("Technical details"),
            {"classes": ("collapse",), "fields": ("connection", "remote_id", "public_id", "synced_at")},
        ),
    )

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whoever may see appointments may see their attendees."""
        return super().has_view_permission(request, obj) or may_see_appointments(request.user)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("appointment__meeting_type")

    def filter_own(self, rows: QuerySet[Any], user: Any) -> QuerySet[Any]:
        return rows.filter(appointment__in=Appointment.objects.of_host_user(user))

    def search(self, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        people = Attendee.objects.order_by()
        found = people.filter(match_person(term)).values("pk")
        return rows.filter(pk__in=found.union(filter_by_phone(people, term).values("pk")))

    @admin.display(description=_("name"))
    def name(self, row: Attendee) -> str:
        return str(row) or "–"

    @admin.display(description=_("contact"))
    def contact(self, row: Attendee) -> SafeString | str:
        return render_contact(row.email, row.phone)

    @admin.display(description=_("appointment"), ordering="appointment__start")
    def appointment_link(self, row: Attendee) -> SafeString | str:
        return self.render_link(row.appointment)
