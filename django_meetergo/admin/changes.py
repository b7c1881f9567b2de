"""Requested cancels and reschedules in the admin."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Q
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from django_meetergo.admin.actions import ActionsMixin, MakeDueAction
from django_meetergo.admin.appointment_actions import describe_appointment
from django_meetergo.admin.display import format_moment
from django_meetergo.admin.errors import describe_outcome
from django_meetergo.admin.filters import AttentionFilter
from django_meetergo.models import Appointment, AppointmentChange

State = AppointmentChange.State


class ChangeAttention(AttentionFilter):
    REASONS = (
        ("unclear", _("Being checked"), lambda now: Q(state=State.UNKNOWN)),
        ("waiting", _("Waiting to be sent"), lambda now: Q(state=State.RECEIVED)),
    )


class Retry(MakeDueAction):
    name = permission = "retry"
    label = _("Try again now")

    def preview(self, row: AppointmentChange) -> tuple[bool, str]:
        if row.state == State.RECEIVED:
            return True, gettext("Will be sent")
        if row.state == State.UNKNOWN:
            return True, gettext(
                "Will be read from meetergo; the change is sent again only if it is missing there"
            )
        return False, gettext("No change: already finished")

    def make_due(self, row: AppointmentChange) -> bool:
        waiting = AppointmentChange.objects.filter(pk=row.pk, state__in=(State.RECEIVED, State.UNKNOWN))
        return bool(waiting.update(next_at=timezone.now()))


@admin.register(AppointmentChange)
class AppointmentChangeAdmin(ActionsMixin):
    actions = (Retry(),)
    readonly_notice = _("Changes are requested on the page of an appointment and kept here as a record.")
    list_display = (
        "requested",
        "kind",
        "appointment_link",
        "target",
        "new_host",
        "state",
        "requested_by",
        "user",
    )
    list_display_links = ("requested",)
    list_select_related = ("appointment__meeting_type", "user", "target_host")
    list_filter = (ChangeAttention, "state", "kind", "requested_by")
    defer = ("appointment__raw", "appointment__secret", "target_host__raw")
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "requested", "kind", "appointment_link", "before", "target", "new_host", "state",
                    "result", "requested_by", "user", "reason", "cancel_all",
                )
            },
        ),
        (
            _("Technical details"),
            {
                "classes": ("collapse",),
                "fields": ("message", "batch", "next_at", "outcome_deadline", "tries"),
            },
        ),
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).select_related(*self.list_select_related)

    def filter_own(self, rows: Any, user: Any) -> Any:
        return rows.filter(appointment__in=Appointment.objects.of_host_user(user))

    def describe_row(self, row: AppointmentChange) -> str:
        return f"{row.get_kind_display()} · {describe_appointment(row.appointment)}"

    @admin.display(description=_("requested"), ordering="pk")
    def requested(self, row: AppointmentChange) -> str:
        return format_moment(row.created_at)

    @admin.display(description=_("why it was refused"))
    def result(self, row: AppointmentChange) -> str:
        return describe_outcome(row.outcome) or "–"

    @admin.display(description=_("start before"))
    def before(self, row: AppointmentChange) -> str:
        return format_moment(row.previous_start)

    @admin.display(description=_("new start"))
    def target(self, row: AppointmentChange) -> str:
        return format_moment(row.target_start)

    @admin.display(description=_("new host"))
    def new_host(self, row: AppointmentChange) -> str:
        return str(row.target_host or "–")
