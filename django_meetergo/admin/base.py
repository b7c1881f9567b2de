"""The base class of all admins: read-only rows, lists of constant cost, and pages of our own."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from functools import cached_property, wraps
from typing import TYPE_CHECKING, Any, ClassVar

import django
from django.apps import apps
from django.contrib import admin
from django.contrib.admin import helpers
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.utils import flatten_fieldsets
from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.db import DataError, models
from django.forms import Field
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from django_meetergo.formatting import name_channel
from django_meetergo.models import sees_own_only
from django_meetergo.transactions import DATABASE_ERRORS, is_database_away, outside_transactions

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Any]
    StackedInline = admin.StackedInline[Any, Any]
else:
    ModelAdmin = admin.ModelAdmin
    StackedInline = admin.StackedInline

logger = logging.getLogger(__name__)
#: Lists count their rows up to this number; counting more would read the whole table.
MAX_COUNT = 10_000
#: From Django 6.1 on, the admin's breadcrumbs are an ordered list.
HAS_BREADCRUMB_LIST = django.VERSION >= (6, 1)


class CappedPaginator(Paginator):  # type: ignore[type-arg]  # cannot be subscripted at runtime
    """Counts up to ``MAX_COUNT`` rows, and computes annotations for the rows of the page only."""

    def page(self, number: Any) -> Any:
        page: Any = super().page(number)
        all_rows: Any = self.object_list
        # Without this step the database computes the annotations of all rows that OFFSET skips.
        page.object_list = all_rows.filter(pk__in=list(page.object_list.values_list("pk", flat=True)))
        return page

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        return int(rows.order_by().values("pk")[: MAX_COUNT + 1].count())


class ActionForm(helpers.ActionForm):
    """The choice of an action; django-unfold's button "Run" appears when Alpine.js knows the choice."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if apps.is_installed("unfold"):
            self.fields["action"].widget.attrs["x-model"] = "action"


def answer_outage(view: Any) -> Any:
    """Let a page answer 503 in words while the database is away or cannot be written."""

    @wraps(view)
    def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            response: HttpResponse = view(request, *args, **kwargs)
        except DATABASE_ERRORS as error:
            if not is_database_away(error):
                raise
            logger.exception("The database is away; the admin page %s answers 503.", request.path)
            text = gettext(
                "The database cannot be read or written at the moment. Try again in a few minutes."
            )
            response = HttpResponse(text, status=503, content_type="text/plain; charset=utf-8")
        return response

    return wrapper


def keep_initial(fields: Iterable[Field], data: Mapping[str, Any], names: Iterable[str]) -> None:
    """Let the page keep what it showed: a colleague may have saved another value since it was opened.

    Without that, a value that this user has not touched would count as changed and overwrite theirs. A theme
    may leave out the hidden inputs, which have these ``names``; then the value is compared with the stored
    one. Any of them tells: what was empty may have no input of its own.
    """
    show = not data or any(name in data for name in names)
    for field in fields:
        field.show_hidden_initial = show


class MeetergoChangeList(ChangeList):
    """Answers a filter with a value that the database cannot compare as Django answers any wrong filter."""

    def get_results(self, request: HttpRequest) -> None:
        try:
            super().get_results(request)
        except (DataError, OverflowError, ValueError) as error:
            raise IncorrectLookupParameters(error) from error


class MeetergoAdmin(ModelAdmin):
    """Admin of rows that only services write. ``site_fields`` names the columns that staff may edit."""

    action_form = ActionForm
    paginator = CappedPaginator
    show_full_result_count = False
    list_per_page = 100
    ordering: ClassVar[Any] = ("-pk",)
    change_form_template = "admin/meetergo/change_form.html"
    change_list_template = "admin/meetergo/change_list.html"
    #: Large or secret columns that lists do not load.
    defer: tuple[str, ...] = ()
    #: The columns of this site, which staff may edit.
    site_fields: tuple[str, ...] = ()
    #: Tells staff why nothing can be added or deleted here.
    readonly_notice = _("These records are written automatically. They cannot be added or deleted here.")
    empty_notice = _("There are no records yet.")

    # Permissions

    def is_permitted(self, request: HttpRequest, action: str, obj: models.Model | None = None) -> bool:
        """Return whether the user has a permission for all rows of this model or for this row."""
        permission = f"{self.opts.app_label}.{action}_{self.opts.model_name}"
        user: Any = request.user
        return user.has_perm(permission) or (obj is not None and user.has_perm(permission, obj))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(self.site_fields) and super().has_change_permission(request, obj)

    # Rows

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Any]:
        rows = super().get_queryset(request).defer(*self.defer)
        return self.filter_own(rows, request.user) if sees_own_only(request.user) else rows

    def filter_own(self, rows: models.QuerySet[Any], user: Any) -> models.QuerySet[Any]:
        """Return the rows that a user sees who may see their own appointments only."""
        return rows

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        fields = flatten_fieldsets(self.get_fieldsets(request, obj))
        return [name for name in fields if name not in self.site_fields]

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field is not None and db_field.name in self.site_fields:
            keep_initial([field], request.POST, (f"initial-{name}" for name in self.site_fields))
        return field

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:  # noqa: FBT001
        """Save the site's columns only: a sync may have changed the others since the page was opened.

        Relations to many rows are saved afterwards, by ``save_related``.
        """
        columns = {field.name for field in self.opts.concrete_fields}
        if changed := [name for name in self.site_fields if name in columns and name in form.changed_data]:
            obj.save(update_fields=changed)

    # Pages

    def get_changelist(self, request: HttpRequest, **options: Any) -> type[ChangeList]:
        return MeetergoChangeList

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        extra = {
            "readonly_notice": self.readonly_notice,
            "empty_notice": self.describe_empty,
            "max_count": MAX_COUNT,
            **(extra_context or {}),
        }
        extra["list_tools"] = self.list_tools(request)
        return super().changelist_view(request, extra)

    def describe_empty(self) -> str:
        """Return the notice of an empty table. A list may be empty because it shows one period only."""
        return "" if self.model._default_manager.exists() else str(self.empty_notice)

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: Any = None,
    ) -> HttpResponse:
        obj = self.get_object(request, object_id) if object_id else None
        buttons = self.list_row_buttons(request, obj) if obj is not None else []
        extra = {"readonly_notice": self.readonly_notice, "row_buttons": buttons, **(extra_context or {})}
        return super().changeform_view(request, object_id, form_url, extra)

    def list_tools(self, request: HttpRequest) -> list[tuple[str, Any]]:
        """Return URL and label of each button above the list."""
        return []

    def list_row_buttons(self, request: HttpRequest, obj: Any) -> list[Any]:
        """Return the buttons on a row's page; see ``actions.RowButton``."""
        return []

    # Pages of our own

    def build_url_pattern(self, route: str, view: Any, name: str) -> URLPattern:
        """Return the pattern of an additional page.

        The view may call meetergo, so ``ATOMIC_REQUESTS`` does not apply to it.
        """
        guarded = outside_transactions(answer_outage(self.admin_site.admin_view(view)))
        full_name = f"{self.opts.app_label}_{self.opts.model_name}_{name}"
        pattern: URLPattern = path(route, guarded, name=full_name)
        return pattern

    def get_admin_url(self, name: str, *args: Any) -> str:
        """Return the URL of one of this model's admin pages, such as "changelist"."""
        return self.reverse_url(self.model, name, *args)

    def find_url(self, model: type[models.Model], name: str, *args: Any) -> str:
        """Return the URL of an admin page of another model; empty if this admin site does not have it."""
        return self.reverse_url(model, name, *args) if self.admin_site.is_registered(model) else ""

    def reverse_url(self, model: type[models.Model], name: str, *args: Any) -> str:
        view = f"admin:{model._meta.app_label}_{model._meta.model_name}_{name}"
        return reverse(view, args=args, current_app=self.admin_site.name)

    def render_link(self, obj: models.Model | None) -> SafeString | str:
        """Return a link to the row's page on this admin site, if it has one; a dash for None."""
        if obj is None:
            return "–"
        url = self.find_url(type(obj), "change", obj.pk)
        return format_html('<a href="{}">{}</a>', url, obj) if url else str(obj)

    # Columns of several lists

    @admin.display(description=_("hosts"))
    def host_names(self, row: Any) -> str:
        return ", ".join(str(host) for host in row.hosts.all()) or "–"

    @admin.display(description=_("channel"))
    def channel_name(self, row: Any) -> str:
        return name_channel(row.channel) or "–"

    @admin.display(description=_("time zone and language"))
    def zone(self, row: Any) -> str:
        return ", ".join(filter(None, [row.timezone, row.language])) or "–"

    @admin.display(description=_("appointment"))
    def appointment_link(self, row: Any) -> SafeString | str:
        return self.render_link(row.appointment)

    def render_page(
        self, request: HttpRequest, template: str, *, title: Any, **context: Any
    ) -> TemplateResponse:
        """Render a template of ``admin/meetergo/`` with the admin's frame and breadcrumbs."""
        breadcrumbs = [
            (reverse("admin:index", current_app=self.admin_site.name), gettext("Home")),
            (
                reverse("admin:app_list", args=[self.opts.app_label], current_app=self.admin_site.name),
                self.opts.app_config.verbose_name if self.opts.app_config else self.opts.app_label,
            ),
            (self.get_admin_url("changelist"), capfirst(self.opts.verbose_name_plural)),
        ]
        page_context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": title,
            "breadcrumb_links": breadcrumbs,
            "has_breadcrumb_list": HAS_BREADCRUMB_LIST,
            **context,
        }
        request.current_app = self.admin_site.name
        return TemplateResponse(request, f"admin/meetergo/{template}", page_context)


class TermSearch(MeetergoAdmin):
    """An admin whose list is searched for one whole term."""

    def get_search_results(
        self, request: HttpRequest, queryset: models.QuerySet[Any], search_term: str
    ) -> tuple[models.QuerySet[Any], bool]:
        term = search_term.strip()
        return (self.search(queryset, term) if term else queryset), False

    def search(self, rows: models.QuerySet[Any], term: str) -> models.QuerySet[Any]:
        raise NotImplementedError
