"""Attendees in the admin: within their appointment, and in a list of their own for searching."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.contenttypes.models import ContentType
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _

from django_meetergo.admin.answers import render_answers
from django_meetergo.admin.base import StackedInline
from django_meetergo.admin.display import format_moment_in_zone
from django_meetergo.models import Attendee


class AttendeeForm(forms.ModelForm):  # type: ignore[type-arg]
    """Relates an attendee to one of the site's own records. The other columns are meetergo's."""

    related_type = forms.ModelChoiceField(
        ContentType.objects.all(), label=capfirst(_("related record: type")), required=False
    )
    related_id = forms.CharField(label=capfirst(_("related record: ID")), max_length=64, required=False)

    class Meta:
        model = Attendee
        fields: list[str] = []

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["related_type"] = self.instance.subject_type_id
        self.initial["related_id"] = self.instance.subject_id

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        kind, key = data.get("related_type"), data.get("related_id")
        if bool(kind) != bool(key):
            raise forms.ValidationError(_("Enter the type and the ID of the related record, or neither."))
        if kind and key and not is_existing_record(kind, key):
            raise forms.ValidationError(_("There is no record of this type with this ID."))
        return data

    def save(self, commit: bool = True) -> Any:  # noqa: FBT001, FBT002 - Django's signature
        self.instance.subject_type = self.cleaned_data.get("related_type")
        self.instance.subject_id = self.cleaned_data.get("related_id") or ""
        if commit:
            self.instance.save(update_fields=["subject_type", "subject_id"])
        return self.instance


def is_existing_record(kind: ContentType, key: str) -> bool:
    """Return whether the content type has a row with this primary key."""
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
    verbose_name_plural = _("Attendees")
    fields = (
        ("person", "contact", "start_for_attendee"),
        ("answers", "status", "related_records"),
        ("related_type", "related_id"),
    )
    readonly_fields = ("person", "contact", "start_for_attendee", "answers", "status", "related_records")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request).defer("raw", "appointment__raw", "appointment__secret")
        return rows.select_related("user", "appointment__meeting_type", "subject_type")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whoever may see an appointment may see its attendees."""
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

    @admin.display(description=_("start in the attendee's time zone"))
    def start_for_attendee(self, row: Attendee) -> str:
        return format_moment_in_zone(row.appointment.start, row.timezone) or "–"

    @admin.display(description=_("answers"))
    def answers(self, row: Attendee) -> SafeString | str:
        return render_answers(row.custom_fields, row.appointment.meeting_type)

    @admin.display(description=_("user account and related record"))
    def related_records(self, row: Attendee) -> str:
        return ", ".join(str(record) for record in (row.user, row.subject) if record) or "–"
