"""What we know of each connection, how things stand, and asking for a sync."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from django_meetergo.admin.actions import ActionResult, ActionsMixin, AdminAction, make_action
from django_meetergo.admin.base import MeetergoAdmin, format_moment
from django_meetergo.admin.filters import ConnectionFilter
from django_meetergo.conf import list_connection_names
from django_meetergo.models import Connection, ErasedPerson, SyncRun
from django_meetergo.services.health import BAD, FAIR, GOOD, UNTOLD, collect_facts, get_verdict
from django_meetergo.services.sync.runs import schedule_sync

#: A level in words, and the admin's own picture for it.
LEVELS = {
    GOOD: (_("Good"), "admin/img/icon-yes.svg"),
    FAIR: (_("Look at it"), "admin/img/icon-alert.svg"),
    BAD: (_("Act now"), "admin/img/icon-no.svg"),
    UNTOLD: (_("Not known"), "admin/img/icon-unknown.svg"),
}


class SyncNow(AdminAction):
    name = permission = "sync"
    label = _("Sync now")

    def question(self, number: int) -> str:
        return gettext("Sync now?")

    def button(self, number: int) -> str:
        return gettext("Yes, sync now")

    def plan(self, row: Connection) -> tuple[bool, str]:
        if row.connection not in list_connection_names():
            return False, gettext("Has no credential any more – left alone")
        return True, gettext("Yesterday to 60 days ahead will be read in the background")

    def carry_out(self, request: HttpRequest, row: Connection, form: forms.Form) -> ActionResult:
        schedule_sync(connection=row.connection, now=timezone.now())
        return ActionResult(text=gettext("will begin in a moment; its progress is among the sync runs"))


ACTS = (SyncNow(),)


@admin.register(Connection)
class ConnectionAdmin(ActionsMixin):
    acts = ACTS
    actions = [make_action(act) for act in ACTS]
    ordering = ("connection",)
    why_not = _(
        "An account appears here when its connection is used for the first time. Keys live in the settings."
    )
    why_empty = _("No connection has been used yet. Run manage.py meetergo_sync.")
    list_display = ("connection", "is_admin", "echoes_references", "webhooks_used", "read_at")
    fieldsets = (
        (None, {"fields": ("connection", "user_id", "is_admin", "echoes_references", "read_at")}),
        (_("Webhooks"), {"fields": ("webhook_remote_id", "webhooks_used")}),
        (_("Technical"), {"classes": ("collapse",), "fields": ("clock_skew", "refused_since", "last_drift")}),
    )

    def has_sync_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.may(request, "sync", obj)

    def get_urls(self) -> list[Any]:
        return [self.own_path("health/", self.health_view, "health"), *super().get_urls()]

    def list_tools(self, request: HttpRequest) -> list[tuple[str, Any]]:
        return [(self.own_url("health"), _("Health"))] if self.may(request, "health") else []

    @admin.display(description=_("meeting types read"))
    def read_at(self, row: Connection) -> str:
        return format_moment(row.directory_synced_at)

    def health_view(self, request: HttpRequest) -> HttpResponse:
        """How things stand, without a call; the doctor asks meetergo as well."""
        if not self.may(request, "health"):
            raise PermissionDenied
        now = timezone.now()
        accounts = []
        for connection in list_connection_names():
            facts = collect_facts(connection=connection, now=now)
            rows = [(fact, *LEVELS[fact.level]) for fact in facts]
            accounts.append((connection, rows, *LEVELS[get_verdict(facts)]))
        return self.show(request, "health.html", title=_("Health"), accounts=accounts, now=format_moment(now))


@admin.register(SyncRun)
class SyncRunAdmin(MeetergoAdmin):
    why_not = _("Syncs run in the background. To ask for one, open the account and choose “Sync now”.")
    list_display = (
        "started",
        "connection",
        "kind",
        "state",
        "seen",
        "total",
        "written",
        "finished",
        "message",
    )
    list_filter = ("kind", "state", ConnectionFilter)
    fieldsets = (
        (None, {"fields": ("started", "finished", "kind", "state", "seen", "total", "written", "message")}),
        (
            _("Technical"),
            {
                "classes": ("collapse",),
                "fields": ("connection", "window_start", "window_end", "owner", "page"),
            },
        ),
    )

    @admin.display(description=_("started"), ordering="pk")
    def started(self, row: SyncRun) -> str:
        return format_moment(row.started_at)

    @admin.display(description=_("finished"))
    def finished(self, row: SyncRun) -> str:
        return format_moment(row.finished_at)


@admin.register(ErasedPerson)
class ErasedPersonAdmin(MeetergoAdmin):
    why_not = _("Written by manage.py meetergo_erase. From the digest nobody can tell the address.")
    why_empty = _("Nobody has been erased.")
    list_display = ("digest", "erased_at")
    fieldsets = ((None, {"fields": ("digest", "erased_at")}),)
