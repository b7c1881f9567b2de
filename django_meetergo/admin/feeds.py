"""Calendar feeds in the admin: staff create them, copy their addresses, and delete them to revoke them."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from django_meetergo import links
from django_meetergo.admin.base import MeetergoAdmin, ModelAdmin
from django_meetergo.admin.display import WITHOUT_PAGES, format_age
from django_meetergo.models import CalendarFeed, Host, may_see_appointments, sees_own_only


@admin.register(CalendarFeed)
class CalendarFeedAdmin(MeetergoAdmin):
    """A feed is not edited: its address shows from the first day to the last what it was created for."""

    ordering = ("name", "pk")
    list_display = ("name", "shown_hosts", "user", "shows_details", "last_fetched")
    list_select_related = ("host", "user")
    list_filter = ("shows_details",)
    readonly_notice = _(
        "A calendar app, such as Google, Apple or Outlook, subscribes to the address of a feed. Anyone with "
        "the address can read the feed; delete the feed to make the address invalid."
    )
    empty_notice = _("There are no feeds yet.")

    # Permissions

    def has_add_permission(self, request: HttpRequest) -> bool:
        return ModelAdmin.has_add_permission(self, request) and may_see_appointments(request.user)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(ModelAdmin.has_delete_permission(self, request, obj))

    def filter_own(self, rows: QuerySet[Any], user: Any) -> QuerySet[Any]:
        return rows.filter(user=user.pk)

    # The page of a feed

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Show the address to the user who created the feed only: it shows what that user may see."""
        if obj is None:
            return ("name", "host", "shows_details")
        shown = ("name", "shown_hosts", "shows_details", "user", "created_at", "last_fetched")
        return ("address", *shown) if obj.user_id == request.user.pk else shown

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return () if obj is None else self.get_fields(request, obj)

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        hosts = Host.objects.filter(missing_since=None).defer("raw")
        if sees_own_only(request.user):
            hosts = hosts.filter(user=request.user.pk)
        return super().formfield_for_foreignkey(db_field, request, queryset=hosts, **kwargs)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:  # noqa: FBT001
        if not change:
            obj.user = request.user
            obj.save()

    @admin.display(description=_("hosts"))
    def shown_hosts(self, row: CalendarFeed) -> str:
        return str(row.host or _("all"))

    @admin.display(description=_("last fetched"), ordering="fetched_at")
    def last_fetched(self, row: CalendarFeed) -> str:
        return format_age(row.fetched_at)

    @admin.display(description=_("address"))
    def address(self, row: CalendarFeed) -> SafeString | str:
        if not links.has_pages():
            return str(WITHOUT_PAGES)
        url = links.build_absolute_url(links.get_feed_path(row))
        field = '<input type="text" class="vTextField" value="{}" aria-label="{}" readonly>'
        return format_html(field, url, _("address"))
