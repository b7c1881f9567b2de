"""Cancels and moves on their way."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Q
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from django_meetergo.admin.actions import ActionsMixin, MakeDueAction, make_action
from django_meetergo.admin.base import format_moment, render_link
from django_meetergo.admin.filters import AttentionFilter
from django_meetergo.models import AppointmentChange
from django_meetergo.wakeup import wake_workers

State = AppointmentChange.State


class ChangeAttention(AttentionFilter):
    REASONS = (
        ("unclear", _("Being checked"), lambda now: Q(state=State.UNKNOWN)),
        ("waiting", _("Waiting to be sent"), lambda now: Q(state=State.RECEIVED)),
    )


class Retry(MakeDueAction):
    name = permission = "retry"
    label = _("Go on now")

    def question(self, number: int) -> str:
        text = ngettext("Go on with %(number)d change?", "Go on with %(number)d changes?", number)
        return text % {"number": number}

    def button(self, number: int) -> str:
        return gettext("Yes, go on now")

    def plan(self, row: AppointmentChange) -> tuple[bool, str]:
        if row.state == State.RECEIVED:
            return True, gettext("Will be sent")
        if row.state == State.UNKNOWN:
            return True, gettext(
                "The appointment will be read; sent again only if it certainly did not happen"
            )
        return False, gettext("Does not wait – left alone")

    def make_due(self, row: AppointmentChange) -> bool:
        waiting = AppointmentChange.objects.filter(pk=row.pk, state__in=(State.RECEIVED, State.UNKNOWN))
        due = waiting.update(next_at=timezone.now())
        wake_workers()
        return bool(due)


ACTS = (Retry(),)


@admin.register(AppointmentChange)
class AppointmentChangeAdmin(ActionsMixin):
    acts = ACTS
    actions = [make_action(act) for act in ACTS]
    why_not = _("Changes are asked for on an appointment's page, and kept as they went.")
    list_display = ("asked", "kind", "appointment_link", "target", "state", "requested_by", "user")
    list_display_links = ("asked",)
    list_select_related = ("appointment__meeting_type", "user")
    list_filter = (ChangeAttention, "state", "kind", "requested_by")
    defer = ("appointment__raw", "appointment__secret")
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "asked", "kind", "appointment_link", "before", "target", "state", "outcome", "message",
                    "requested_by", "user", "reason", "cancel_all",
                )
            },
        ),
        (
            _("Technical"),
            {"classes": ("collapse",), "fields": ("batch", "next_at", "outcome_deadline", "tries")},
        ),
    )  # fmt: skip

    def has_retry_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.may(request, "retry", obj)

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).select_related(*self.list_select_related)

    @admin.display(description=_("asked"), ordering="pk")
    def asked(self, row: AppointmentChange) -> str:
        return format_moment(row.created_at)

    @admin.display(description=_("appointment"))
    def appointment_link(self, row: AppointmentChange) -> SafeString | str:
        return render_link(row.appointment)

    @admin.display(description=_("start before"))
    def before(self, row: AppointmentChange) -> str:
        return format_moment(row.previous_start)

    @admin.display(description=_("new start"))
    def target(self, row: AppointmentChange) -> str:
        return format_moment(row.target_start)
