"""What knocked at the letterbox, and another chance for what was given up."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from django_meetergo.admin.actions import ActionsMixin, MakeDueAction, make_action
from django_meetergo.admin.base import format_moment
from django_meetergo.admin.filters import AttentionFilter, ConnectionFilter
from django_meetergo.models import WebhookDelivery
from django_meetergo.wakeup import wake_workers

State = WebhookDelivery.State


class DeliveryAttention(AttentionFilter):
    REASONS = (
        ("dead", _("Given up"), lambda now: Q(state=State.DEAD)),
        ("unconfirmed", _("Not confirmed"), lambda now: Q(state=State.UNCONFIRMED)),
    )


class Replay(MakeDueAction):
    name = permission = "replay"
    label = _("Apply again")
    told = _("will be looked at in a moment")

    def question(self, number: int) -> str:
        text = ngettext("Apply %(number)d delivery again?", "Apply %(number)d deliveries again?", number)
        return text % {"number": number}

    def button(self, number: int) -> str:
        return gettext("Yes, apply again")

    def plan(self, row: WebhookDelivery) -> tuple[bool, str]:
        if not row.remote_id:
            return False, gettext("Names no appointment – left alone")
        if row.state == State.PENDING:
            return False, gettext("Is waiting already – left alone")
        return True, gettext("The appointment will be read from meetergo")

    def make_due(self, row: WebhookDelivery) -> bool:
        again = WebhookDelivery.objects.filter(pk=row.pk).exclude(state=State.PENDING)
        due = again.update(state=State.PENDING, tries=0, next_at=timezone.now(), message="")
        wake_workers()
        return bool(due)


ACTS = (Replay(),)


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(ActionsMixin):
    acts = ACTS
    actions = [make_action(act) for act in ACTS]
    why_not = _("Deliveries arrive from meetergo. What they say is not kept: the appointment is read again.")
    why_empty = _("Nothing has arrived yet. Run manage.py meetergo_webhooks ensure.")
    list_display = ("received", "event_type", "remote_id", "state", "receive_count", "message")
    list_filter = (DeliveryAttention, "state", ConnectionFilter)
    search_fields = ("remote_id",)
    search_help_text = _("A whole meetergo id.")
    fieldsets = (
        (None, {"fields": ("received", "event_type", "remote_id", "state", "receive_count", "message")}),
        (_("Technical"), {"classes": ("collapse",), "fields": ("connection", "digest", "next_at", "tries")}),
    )

    def has_replay_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.may(request, "replay", obj)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        return (queryset.filter(remote_id=term) if term else queryset), False

    @admin.display(description=_("received"), ordering="pk")
    def received(self, row: WebhookDelivery) -> str:
        return format_moment(row.received_at)
