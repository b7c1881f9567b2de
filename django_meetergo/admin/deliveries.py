"""Webhook deliveries in the admin, with an action that applies them again."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from django_meetergo.admin.actions import ActionsMixin, MakeDueAction
from django_meetergo.admin.base import TermSearch
from django_meetergo.admin.display import format_moment
from django_meetergo.admin.filters import AttentionFilter, ConnectionFilter
from django_meetergo.admin.timeline import DELIVERY_TYPES
from django_meetergo.models import WebhookDelivery
from django_meetergo.services.retry import FRESH

State = WebhookDelivery.State


class DeliveryAttention(AttentionFilter):
    REASONS = (
        ("dead", _("Given up"), lambda now: Q(state=State.DEAD)),
        ("unconfirmed", _("Not confirmed"), lambda now: Q(state=State.UNCONFIRMED)),
    )


class Replay(MakeDueAction):
    name = permission = "replay"
    label = _("Apply again")
    result_text = _("will be applied in a moment")

    def preview(self, row: WebhookDelivery) -> tuple[bool, str]:
        if not row.remote_id:
            return False, gettext("No change: does not name an appointment")
        if row.state == State.PENDING:
            return False, gettext("No change: already waiting")
        return True, gettext("The appointment will be read from meetergo")

    def make_due(self, row: WebhookDelivery) -> bool:
        again = WebhookDelivery.objects.filter(pk=row.pk).exclude(state=State.PENDING)
        return bool(again.update(**FRESH, state=State.PENDING, next_at=timezone.now(), message=""))


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(ActionsMixin, TermSearch):
    actions = (Replay(),)
    readonly_notice = _(
        "Deliveries are notifications from meetergo. Their content is not stored; the appointment is read."
    )
    empty_notice = _("No notification has arrived yet. Run manage.py meetergo_webhooks ensure.")
    list_display = ("received", "about", "remote_id", "state", "receive_count", "message")
    list_filter = (DeliveryAttention, "state", ConnectionFilter)
    search_fields = ("remote_id",)
    search_help_text = _("A complete meetergo ID.")
    fieldsets = (
        (None, {"fields": ("received", "about", "remote_id", "state", "receive_count", "message")}),
        (
            _("Technical details"),
            {
                "classes": ("collapse",),
                "fields": ("connection", "event_type", "digest", "next_at", "tries"),
            },
        ),
    )

    def search(self, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        return rows.filter(remote_id=term)

    @admin.display(description=_("received"), ordering="pk")
    def received(self, row: WebhookDelivery) -> str:
        return format_moment(row.received_at)

    @admin.display(description=_("what happened"), ordering="event_type")
    def about(self, row: WebhookDelivery) -> str:
        return str(DELIVERY_TYPES.get(row.event_type, row.event_type)) or "–"
