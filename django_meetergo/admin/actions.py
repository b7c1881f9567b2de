"""Actions of staff: asked for on a list or on a row's page, carried out row by row, reported and logged.

One ``AdminAction`` serves both places: the list shows it among its actions, a row's page as a button. An
action that needs an answer from staff first shows a page which previews what happens to each row; that page
changes nothing. All other actions are carried out at once. The views run outside of Django's
``ATOMIC_REQUESTS``, so actions may call meetergo.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from django import forms
from django.contrib import messages
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.db import models
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from django_meetergo.admin.base import MeetergoAdmin
from django_meetergo.admin.errors import describe_error
from django_meetergo.admin.search import join_ids, parse_ids
from django_meetergo.exceptions import MeetergoError
from django_meetergo.formatting import format_pair
from django_meetergo.transactions import outside_transactions
from django_meetergo.wakeup import wake_workers

#: Rows of an action that calls meetergo for each of them while the browser waits.
MAX_AT_ONCE = 20
#: Rows that a confirmation page lists.
MAX_LISTED = 100


@dataclass(frozen=True, kw_only=True)
class ActionPreview:
    """What will happen to a row, in words; ``will_act`` is False when nothing will."""

    row: models.Model
    name: str
    will_act: bool
    text: str


@dataclass(frozen=True, kw_only=True)
class ActionResult:
    """What happened to a row, in words; ``level`` is one of the messages framework's levels."""

    text: str
    level: int = messages.SUCCESS


@dataclass(frozen=True, kw_only=True)
class RowButton:
    """A button on a row's page: a link to a confirmation page, or a form that carries out the action."""

    url: str
    label: Any
    ids: str = ""


class AdminAction:
    """Something staff may do to rows, an entry of ``ModelAdmin.actions``.

    Subclasses describe it, preview it and carry it out.
    """

    name: ClassVar[str]
    permission: ClassVar[str]
    #: Shown on buttons and in the list's menu of actions.
    label: ClassVar[Any]
    max_rows: ClassVar[int] = MAX_AT_ONCE
    form_class: ClassVar[type[forms.Form]] = forms.Form
    #: Whether a page asks first. Actions without a form that undo nothing do not need one.
    needs_confirmation: ClassVar[bool] = True
    #: The title of this page, a question, and the label of its button: ``ngettext_lazy`` with ``number``.
    question: ClassVar[Any] = None
    button: ClassVar[Any] = None

    @property
    def __name__(self) -> str:
        return f"meetergo_{self.name}"

    @property
    def short_description(self) -> Any:
        return self.label

    @property
    def log_label(self) -> str:
        """The label in the history of a row: without the dots that announce a form."""
        return str(self.label).rstrip("…\u00a0 ")

    def __call__(self, admin: ActionsMixin, request: HttpRequest, queryset: Any) -> HttpResponse | None:
        """Start the action on the rows that were selected in the list."""
        keys = list(queryset.order_by().values_list("pk", flat=True)[: self.max_rows + 1])
        if len(keys) > self.max_rows:
            text = ngettext(
                "Select at most %(limit)d row for this action.",
                "Select at most %(limit)d rows for this action.",
                self.max_rows,
            )
            messages.error(request, text % {"limit": self.max_rows})
            return None
        rows = admin.list_rows(request, keys)
        if self.needs_confirmation:
            return admin.render_confirmation(request, self, rows)
        response = admin.carry_out(request, self, rows)
        if isinstance(response, HttpResponseRedirect):
            # Back to the list, with its filters.
            return HttpResponseRedirect(request.get_full_path())
        return response

    def preview(self, row: Any) -> tuple[bool, str]:
        """Return whether the action will change this row, and what it will do in words."""
        raise NotImplementedError

    def perform(self, row: Any, form: forms.Form) -> ActionResult:
        """Carry out the action on one row. The caller reports errors of services."""
        raise NotImplementedError

    def build_form(self, rows: Sequence[Any], data: Any = None) -> forms.Form:
        return self.form_class(data)

    def execute(
        self, admin: ActionsMixin, request: HttpRequest, rows: Sequence[Any], form: forms.Form
    ) -> HttpResponse:
        """Carry out the action on all rows one after the other, report and log each, and redirect."""
        for row in rows:
            result = self.perform_safely(row, form)
            messages.add_message(request, result.level, format_pair(admin.describe_row(row), result.text))
            admin.log_change(request, row, format_pair(self.log_label, result.text))
        return HttpResponseRedirect(admin.get_return_url(rows))

    def perform_safely(self, row: Any, form: forms.Form) -> ActionResult:
        """Carry out the action on one row and turn the errors of services into a result."""
        try:
            return self.perform(row, form)
        except (MeetergoError, ImproperlyConfigured) as error:
            text = gettext("not done. %(why)s") % {"why": describe_error(error)}
            return ActionResult(text=text, level=messages.ERROR)


class ActionsMixin(MeetergoAdmin):
    """An admin with actions. Each has a URL of its own, an entry in the list's menu and a button."""

    @property
    def admin_actions(self) -> list[AdminAction]:
        return [action for action in self.actions or () if isinstance(action, AdminAction)]

    def get_actions(self, request: HttpRequest, action_location: Any = None) -> dict[str, Any]:
        """Return the entries of a menu, without those that the user has no permission for."""
        where = [action_location] if action_location else []  # an argument since Django 6.1
        entries: dict[str, Any] = super().get_actions(request, *where)
        for action in self.admin_actions:
            if not self.is_permitted(request, action.permission):
                entries.pop(action.__name__, None)
        return entries

    def get_urls(self) -> list[Any]:
        urls = super().get_urls()
        for pattern in urls:
            # The list carries out actions without a confirmation page, which may call meetergo.
            if pattern.name == f"{self.opts.app_label}_{self.opts.model_name}_changelist":
                outside_transactions(pattern.callback)
        own = [
            self.build_url_pattern(f"{action.name}/", partial(self.action_view, action=action), action.name)
            for action in self.admin_actions
        ]
        return [*own, *urls]

    def describe_row(self, row: Any) -> str:
        """Return what a row is called in previews and results."""
        return str(row)

    def list_row_buttons(self, request: HttpRequest, obj: Any) -> list[RowButton]:
        return [
            RowButton(url=f"{self.get_admin_url(action.name)}?ids={obj.pk}", label=action.label)
            if action.needs_confirmation
            else RowButton(url=self.get_admin_url(action.name), label=action.label, ids=str(obj.pk))
            for action in self.admin_actions
            if self.is_permitted(request, action.permission, obj) and action.preview(obj)[0]
        ]

    def action_view(self, request: HttpRequest, action: AdminAction) -> HttpResponse:
        """Show the confirmation page (GET), or carry out the action (POST with ``confirmed``)."""
        data = request.POST if request.method == "POST" else request.GET
        rows = self.list_rows(request, parse_ids(data.get("ids", ""))[: action.max_rows])
        if not self.has_view_permission(request) or not self.can_start_action(request, action, rows):
            raise PermissionDenied
        if request.method == "POST" and "confirmed" in request.POST:
            return self.carry_out(request, action, rows)
        return self.render_confirmation(request, action, rows)

    def carry_out(self, request: HttpRequest, action: AdminAction, rows: Sequence[Any]) -> HttpResponse:
        """Carry out the action on the rows that it can change; ask again when its form has errors."""
        previews = self.list_previews(request, action, rows)
        changed = [preview.row for preview in previews if preview.will_act]
        form = action.build_form(changed, request.POST)
        if action.needs_confirmation:
            if changed and form.is_valid():
                return action.execute(self, request, changed, form)
            return self.render_confirmation(request, action, rows, form=form)
        for preview in previews:
            if not preview.will_act:
                messages.info(request, format_pair(preview.name, preview.text))
        if not changed:
            return HttpResponseRedirect(self.get_return_url(rows))
        return action.execute(self, request, changed, form)

    def can_start_action(self, request: HttpRequest, action: AdminAction, rows: Sequence[Any]) -> bool:
        """Return whether the user may carry out the action on any row."""
        return self.is_permitted(request, action.permission) or any(
            self.is_permitted(request, action.permission, row) for row in rows
        )

    def list_rows(self, request: HttpRequest, ids: Sequence[int]) -> list[Any]:
        """Return the rows with these primary keys that this user may see."""
        return list(self.get_queryset(request).filter(pk__in=ids).order_by(*self.ordering))

    def list_previews(
        self, request: HttpRequest, action: AdminAction, rows: Sequence[Any]
    ) -> list[ActionPreview]:
        previews = []
        for row in rows:
            if self.is_permitted(request, action.permission, row):
                will_act, text = action.preview(row)
            else:
                will_act, text = False, gettext("No change: you are not allowed to do this")
            previews.append(
                ActionPreview(row=row, name=self.describe_row(row), will_act=will_act, text=str(text))
            )
        return previews

    def render_confirmation(
        self,
        request: HttpRequest,
        action: AdminAction,
        rows: Sequence[Any],
        *,
        form: forms.Form | None = None,
    ) -> HttpResponse:
        """Render the page that previews the action and asks. It changes nothing."""
        previews = self.list_previews(request, action, rows)
        changed = [preview.row for preview in previews if preview.will_act]
        number = {"number": len(changed)}
        if form is None:
            form = action.build_form(changed)
        return self.render_page(
            request,
            "action.html",
            title=action.question % number if action.question and changed else action.label,
            previews=previews[:MAX_LISTED],
            more=max(len(previews) - MAX_LISTED, 0),
            form=form,
            # Nothing but what the page announces is done, even if another row can be changed by then.
            ids=join_ids(changed),
            action_url=self.get_admin_url(action.name),
            button=action.button % number if action.button else action.label,
            can_confirm=bool(changed),
            back=self.get_return_url(rows),
        )

    def render_links(
        self, request: HttpRequest, rows: Sequence[Any], shown: Sequence[Any], *, title: Any, notice: Any
    ) -> HttpResponse:
        """Render secret links; ``shown`` has row, label and URL of each. The page is not stored."""
        back = self.get_return_url(rows)
        response = self.render_page(request, "links.html", title=title, notice=notice, shown=shown, back=back)
        response["Cache-Control"] = "no-store"
        return response

    def get_return_url(self, rows: Sequence[Any]) -> str:
        """Return the URL of the row's page for one row, and of the list for several."""
        return (
            self.get_admin_url("change", rows[0].pk) if len(rows) == 1 else self.get_admin_url("changelist")
        )


class MakeDueAction(AdminAction):
    """Makes rows due now; the background workers do the rest."""

    needs_confirmation = False
    #: Reported for each row that became due.
    result_text = _("will be done in a moment")

    def make_due(self, row: Any) -> bool:
        """Make the row due; return False when its state has changed since the page was opened."""
        raise NotImplementedError

    def perform(self, row: Any, form: forms.Form) -> ActionResult:
        if self.make_due(row):
            return ActionResult(text=str(self.result_text))
        return ActionResult(text=gettext("no change: its state has changed meanwhile"), level=messages.INFO)

    def execute(
        self, admin: ActionsMixin, request: HttpRequest, rows: Sequence[Any], form: forms.Form
    ) -> HttpResponse:
        response = super().execute(admin, request, rows, form)
        wake_workers()
        return response
