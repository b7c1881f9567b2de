"""Events in the admin: each transition of a booking or an appointment, and whether receivers have run."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Q
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from django_meetergo.admin.base import MeetergoAdmin
from django_meetergo.admin.display import format_moment, render_link
from django_meetergo.admin.filters import AttentionFilter, ConnectionFilter
from django_meetergo.models import Event


class EventAttention(AttentionFilter):
    REASONS = (("undispatched", _("Not yet processed by this site"), lambda now: Q(dispatched_at=None)),)


@admin.register(Event)
class EventAdmin(MeetergoAdmin):
    readonly_notice = _("Events are written automatically when a booking or an appointment changes.")
    list_display = ("when", "kind", "appointment_link", "booking_link", "dispatched", "tries")
    list_filter = (EventAttention, "kind", ConnectionFilter)
    defer = ("appointment__raw", "appointment__secret")
    fieldsets = (
        (None, {"fields": ("when", "kind", "appointment_link", "booking_link", "attendee", "dispatched")}),
        (
            _("Technical details"),
            {"classes": ("collapse",), "fields": ("connection", "key", "data", "next_at", "tries")},
        ),
    )

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).select_related("appointment__meeting_type", "booking")

    @admin.display(description=_("when"), ordering="pk")
    def when(self, row: Event) -> str:
        return format_moment(row.created_at)

    @admin.display(description=_("appointment"))
    def appointment_link(self, row: Event) -> SafeString | str:
        return render_link(row.appointment)

    @admin.display(description=_("booking"))
    def booking_link(self, row: Event) -> SafeString | str:
        return render_link(row.booking)

    @admin.display(description=_("processed by this site"), ordering="dispatched_at")
    def dispatched(self, row: Event) -> str:
        return format_moment(row.dispatched_at)
