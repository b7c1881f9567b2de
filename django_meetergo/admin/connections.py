"""Connections, sync runs and erased people in the admin, and the system status page."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from django_meetergo.admin.actions import ActionResult, ActionsMixin, AdminAction
from django_meetergo.admin.base import MeetergoAdmin
from django_meetergo.admin.display import format_moment
from django_meetergo.admin.filters import ConnectionFilter
from django_meetergo.conf import list_connection_names
from django_meetergo.models import Connection, ErasedPerson, SyncRun
from django_meetergo.services.health import (
    BAD,
    FAIR,
    GOOD,
    UNKNOWN,
    Fact,
    collect_facts,
    get_verdict,
    list_reported_connections,
)
from django_meetergo.services.sync.runs import schedule_sync

#: A level in words, and the admin's icon for it.
LEVELS = {
    GOOD: (_("Good"), "admin/img/icon-yes.svg"),
    FAIR: (_("Please check"), "admin/img/icon-alert.svg"),
    BAD: (_("Action needed"), "admin/img/icon-no.svg"),
    UNKNOWN: (_("Unknown"), "admin/img/icon-unknown.svg"),
}


def list_rows(facts: Iterable[Fact]) -> list[tuple[Fact, Any, str]]:
    """Return the facts with their levels in words and as icons."""
    return [(fact, *LEVELS[fact.level]) for fact in facts]


class SyncNow(AdminAction):
    name = permission = "sync"
    label = _("Sync now")

    needs_confirmation = False

    def preview(self, row: Connection) -> tuple[bool, str]:
        if row.connection not in list_connection_names():
            return False, gettext("No change: has no credential any more")
        return True, gettext("Appointments from yesterday to 60 days ahead will be read in the background")

    def perform(self, row: Connection, form: forms.Form) -> ActionResult:
        schedule_sync(connection=row.connection, now=timezone.now())
        return ActionResult(text=gettext("starts in a moment; see “Sync runs” for its progress"))


@admin.register(Connection)
class ConnectionAdmin(ActionsMixin):
    actions = (SyncNow(),)
    ordering = ("connection",)
    readonly_notice = _(
        "A connection appears here when it is used for the first time. Its key is in the site's settings."
    )
    empty_notice = _("No connection has been used yet. Run manage.py meetergo_sync.")
    list_display = ("connection", "is_admin", "echoes_references", "webhooks_used", "read_at")
    fieldsets = (
        (None, {"fields": ("connection", "user_id", "is_admin", "echoes_references", "read_at")}),
        (_("Webhooks"), {"fields": ("webhook_remote_id", "webhooks_used")}),
        (
            _("Technical details"),
            {"classes": ("collapse",), "fields": ("clock_skew", "refused_since", "last_drift")},
        ),
    )

    def get_urls(self) -> list[Any]:
        return [self.build_url_pattern("health/", self.health_view, "health"), *super().get_urls()]

    def list_tools(self, request: HttpRequest) -> list[tuple[str, Any]]:
        return (
            [(self.get_admin_url("health"), _("System status"))]
            if self.is_permitted(request, "health")
            else []
        )

    @admin.display(description=_("meeting types read"))
    def read_at(self, row: Connection) -> str:
        return format_moment(row.directory_synced_at)

    def health_view(self, request: HttpRequest) -> HttpResponse:
        """Show what this site knows about each connection, without calling meetergo."""
        if not self.is_permitted(request, "health"):
            raise PermissionDenied
        now = timezone.now()
        statuses = []
        for connection in list_reported_connections():
            facts = collect_facts(connection=connection, now=now)
            technical = [fact for fact in facts if fact.is_technical]
            statuses.append(
                {
                    "connection": connection,
                    "level": LEVELS[get_verdict(facts)][0],
                    "facts": list_rows(fact for fact in facts if not fact.is_technical),
                    "technical": list_rows(technical),
                    "has_technical_problem": get_verdict(technical) != GOOD,
                }
            )
        return self.render_page(
            request, "health.html", title=_("System status"), connections=statuses, now=format_moment(now)
        )


@admin.register(SyncRun)
class SyncRunAdmin(MeetergoAdmin):
    readonly_notice = _("Syncs run in the background. To start one, open a connection and choose “Sync now”.")
    list_display = (
        "started",
        "connection",
        "kind",
        "state",
        "seen",
        "written",
        "skipped_count",
    )
    list_filter = ("kind", "state", ConnectionFilter)
    fieldsets = (
        (
            None,
            {"fields": ("started", "finished", "kind", "state", "seen", "total", "written", "skipped_count")},
        ),
        (
            _("Technical details"),
            {
                "classes": ("collapse",),
                "fields": (
                    "message",
                    "skipped_items",
                    "connection",
                    "window_start",
                    "window_end",
                    "owner",
                    "page",
                ),
            },
        ),
    )

    @admin.display(description=_("started"), ordering="pk")
    def started(self, row: SyncRun) -> str:
        return format_moment(row.started_at)

    @admin.display(description=_("skipped"))
    def skipped_count(self, row: SyncRun) -> str:
        return str(len(row.skipped))

    @admin.display(description=_("skipped"))
    def skipped_items(self, row: SyncRun) -> SafeString | str:
        lines = ((one["kind"], one["id"], one["reason"]) for one in row.skipped)
        return format_html_join(mark_safe("<br>"), "{} {}: {}", lines) or "–"

    @admin.display(description=_("finished"))
    def finished(self, row: SyncRun) -> str:
        return format_moment(row.finished_at)


@admin.register(ErasedPerson)
class ErasedPersonAdmin(MeetergoAdmin):
    readonly_notice = _(
        "Written by manage.py meetergo_erase. The address cannot be recovered from the digest."
    )
    empty_notice = _("Nobody has been erased yet.")
    list_display = ("digest", "erased_at")
    fieldsets = ((None, {"fields": ("digest", "erased_at")}),)
