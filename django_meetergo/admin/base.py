"""What all our admin pages share: nothing is added or deleted here, and lists cost the same at any size."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import django
from django.contrib import admin
from django.contrib.admin.utils import flatten_fieldsets
from django.core.paginator import Paginator
from django.db import connection, models, transaction
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.timesince import timesince
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from django_meetergo.models import fold_email
from django_meetergo.timezones import find_zone

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Any]
    StackedInline = admin.StackedInline[Any, Any]
else:
    ModelAdmin = admin.ModelAdmin
    StackedInline = admin.StackedInline

#: Rows are counted up to here: nobody pages further, and counting all of them reads the whole table.
MAX_COUNT = 10_000
#: From 6.1 on, the admin's breadcrumbs are a list.
LISTS_CRUMBS = django.VERSION >= (6, 1)


class CappedPaginator(Paginator):  # type: ignore[type-arg]  # cannot be subscripted at runtime
    """Counts no further than ``CAP``, and looks up other tables' columns for the rows of the page alone."""

    def page(self, number: Any) -> Any:
        shown: Any = super().page(number)
        every: Any = self.object_list
        # Rows that are passed over to reach a late page would be looked up as well.
        shown.object_list = every.filter(pk__in=list(shown.object_list.values_list("pk", flat=True)))
        return shown

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        return int(rows.order_by().values("pk")[: MAX_COUNT + 1].count())


class MeetergoAdmin(ModelAdmin):
    """Rows that services write and people read. Subclasses name what a person may change of their own."""

    paginator = CappedPaginator
    show_full_result_count = False
    list_per_page = 100
    ordering: ClassVar[Any] = ("-pk",)
    change_form_template = "admin/meetergo/change_form.html"
    change_list_template = "admin/meetergo/change_list.html"
    #: Large or secret columns that no list needs.
    defer: tuple[str, ...] = ()
    #: Our own columns, which may be edited.
    own_fields: tuple[str, ...] = ()
    #: Why there is no button to add or to delete.
    why_not = _("Nothing is added or deleted here: these rows follow what happens.")
    why_empty = _("Nothing has happened yet.")

    # Permissions

    def may(self, request: HttpRequest, action: str, obj: models.Model | None = None) -> bool:
        """Whether this user may do something, to all rows of this kind or to this one."""
        permission = f"{self.opts.app_label}.{action}_{self.opts.model_name}"
        user: Any = request.user
        return user.has_perm(permission) or (obj is not None and user.has_perm(permission, obj))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(self.own_fields) and super().has_change_permission(request, obj)

    # Rows

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Any]:
        return super().get_queryset(request).defer(*self.defer)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        shown = flatten_fieldsets(self.get_fieldsets(request, obj))
        return [name for name in shown if name not in self.own_fields]

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:  # noqa: FBT001
        """Our own columns only: the mirror may have moved on since the page was opened."""
        if changed := [name for name in self.own_fields if name in form.changed_data]:
            obj.save(update_fields=changed)

    # Pages

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        extra = {
            "why_not": self.why_not,
            "why_empty": self.why_empty,
            "cap": MAX_COUNT,
            **(extra_context or {}),
        }
        extra["list_tools"] = self.list_tools(request)
        return super().changelist_view(request, extra)

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: Any = None,
    ) -> HttpResponse:
        obj = self.get_object(request, object_id) if object_id else None
        tools = self.detail_tools(request, obj) if obj is not None else []
        extra = {"why_not": self.why_not, "detail_tools": tools, **(extra_context or {})}
        return super().changeform_view(request, object_id, form_url, extra)

    def list_tools(self, request: HttpRequest) -> list[tuple[str, Any]]:
        """Addresses and names of the buttons above a list."""
        return []

    def detail_tools(self, request: HttpRequest, obj: Any) -> list[tuple[str, Any]]:
        """Addresses and names of the buttons on a row's page."""
        return []

    # Views of our own

    def own_path(self, route: str, view: Any, name: str) -> URLPattern:
        """A page beside the admin's own. It may telephone, so no transaction is held around it."""
        guarded = transaction.non_atomic_requests(self.admin_site.admin_view(view))
        full_name = f"{self.opts.app_label}_{self.opts.model_name}_{name}"
        pattern: URLPattern = path(route, guarded, name=full_name)
        return pattern

    def own_url(self, name: str, *args: Any) -> str:
        view = f"admin:{self.opts.app_label}_{self.opts.model_name}_{name}"
        return reverse(view, args=args, current_app=self.admin_site.name)

    def show(
        self, request: HttpRequest, template: str, *, title: Any, status: int = 200, **context: Any
    ) -> TemplateResponse:
        """A page in the admin's frame, with its place in the breadcrumbs."""
        crumbs = [
            (reverse("admin:index", current_app=self.admin_site.name), gettext("Home")),
            (
                reverse("admin:app_list", args=[self.opts.app_label], current_app=self.admin_site.name),
                self.opts.app_config.verbose_name if self.opts.app_config else self.opts.app_label,
            ),
            (self.own_url("changelist"), capfirst(self.opts.verbose_name_plural)),
        ]
        given = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": title,
            "crumbs": crumbs,
            "lists_crumbs": LISTS_CRUMBS,
            **context,
        }
        request.current_app = self.admin_site.name
        return TemplateResponse(request, f"admin/meetergo/{template}", given, status=status)


# Words


def format_moment(moment: datetime | None) -> str:
    """A moment by the site's clock, with its weekday."""
    return date_format(timezone.localtime(moment), "D, j M Y, H:i") if moment else "–"


def format_moment_at_host(moment: datetime, zone_name: str) -> str:
    """The same moment by an attendee's clock; empty when their zone is unknown."""
    zone = find_zone(zone_name)
    return f"{date_format(moment.astimezone(zone), 'D, j M Y, H:i')} ({zone.key})" if zone else ""


def format_age(moment: datetime | None) -> str:
    if moment is None:
        return gettext("never")
    return gettext("%(time)s ago") % {"time": timesince(moment)}


def render_hover(text: str, title: str) -> SafeString | str:
    return format_html('<span title="{}">{}</span>', title, text) if title else text


def render_link(obj: models.Model | None) -> SafeString | str:
    """A row's name, leading to its page."""
    if obj is None:
        return "–"
    url = reverse(f"admin:{obj._meta.app_label}_{obj._meta.model_name}_change", args=[obj.pk])
    return format_html('<a href="{}">{}</a>', url, obj)


# Searching


def fold_name(name: str) -> str:
    """As this database's LOWER does it: SQLite's leaves letters beyond ASCII alone."""
    if connection.vendor != "sqlite":
        return name.lower()
    return "".join(letter.lower() if letter.isascii() else letter for letter in name)


def starts_with(column: str, text: str) -> Q:
    """A prefix, found by the column's index on every database."""
    match = Q(**{f"{column}__startswith": text})
    if connection.vendor != "postgresql":
        # LIKE uses no index on SQLite and MariaDB; the bounds do.
        match &= Q(**{f"{column}__gte": text, f"{column}__lt": f"{text}\U0010ffff"})
    return match


def match_person(term: str, prefix: str = "") -> Q:
    """People of an address, or of a name: each word begins a first or a last name."""
    address = starts_with(f"{prefix}email_folded", fold_email(term))
    if "@" in term or any(letter.isdigit() for letter in term):
        return address
    names = Q()
    for word in term.split():
        folded = fold_name(word)
        names &= starts_with(f"{prefix}first_folded", folded) | starts_with(f"{prefix}last_folded", folded)
    return address | names


def list_ids(text: str) -> list[int]:
    """The primary keys in a comma-separated text; anything else in it is ignored."""
    return [int(part) for part in text.split(",") if part.isascii() and part.isdigit() and len(part) < 19]


def join_ids(rows: Iterable[models.Model]) -> str:
    return ",".join(str(row.pk) for row in rows)
