"""Something staff does to rows: asked about on a page of its own, done row by row, told row by row, logged.

One act serves the list (as an action) and a row's page (as a button). The page that asks changes nothing;
its form is sent to a view of ours, which Django wraps in no transaction, so acts may telephone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from django import forms
from django.contrib import messages
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.db import models
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from django_meetergo.admin.base import MeetergoAdmin, join_ids, list_ids
from django_meetergo.exceptions import MeetergoError

#: Acts that telephone for each row take so many; more would keep the browser waiting.
MAX_AT_ONCE = 20
#: So many rows of a plan are shown.
MAX_SHOWN = 100


@dataclass(frozen=True, kw_only=True)
class ActionPreview:
    """What will happen to a row, in words, and whether anything will."""

    row: models.Model
    name: str
    will: bool
    text: str


@dataclass(frozen=True, kw_only=True)
class ActionResult:
    """How it went with a row. ``level`` is one of the messages framework's."""

    text: str
    level: int = messages.SUCCESS


class AdminAction:
    """One thing to do. Subclasses say what will happen, and do it."""

    name: ClassVar[str]
    permission: ClassVar[str]
    label: ClassVar[Any]  # on buttons and in the list of actions
    limit: ClassVar[int] = MAX_AT_ONCE
    form_class: ClassVar[type[forms.Form]] = forms.Form

    def question(self, number: int) -> str:
        raise NotImplementedError

    def button(self, number: int) -> str:
        raise NotImplementedError

    def describe(self, row: Any) -> str:
        """What a row is called on the page that asks, and when it is told how it went."""
        return str(row)

    def plan(self, row: Any) -> tuple[bool, str]:
        """Whether something will happen to this row, and what."""
        raise NotImplementedError

    def carry_out(self, request: HttpRequest, row: Any, form: forms.Form) -> ActionResult:
        """Do it to one row. What services raise is told by the caller."""
        raise NotImplementedError

    def build_form(self, request: HttpRequest, rows: Sequence[Any], data: Any = None) -> forms.Form:
        return self.form_class(data)

    def run(
        self, admin: ActionsMixin, request: HttpRequest, rows: Sequence[Any], form: forms.Form
    ) -> HttpResponse:
        """Do it to all rows that were promised, one after the other."""
        for row in rows:
            told = self.try_row(request, row, form)
            messages.add_message(request, told.level, f"{self.describe(row)}: {told.text}")
            admin.log_change(request, row, f"{self.label}: {told.text}")
        return HttpResponseRedirect(admin.way_back(rows))

    def try_row(self, request: HttpRequest, row: Any, form: forms.Form) -> ActionResult:
        try:
            return self.carry_out(request, row, form)
        except (MeetergoError, ImproperlyConfigured) as error:
            return ActionResult(text=gettext("not done. %(why)s") % {"why": error}, level=messages.ERROR)


class ActionsMixin(MeetergoAdmin):
    """An admin with acts: each is an action of the list, a button of the row, and a view that asks first."""

    acts: ClassVar[tuple[AdminAction, ...]] = ()

    def get_urls(self) -> list[Any]:
        return [*(self.build_path(act) for act in self.acts), *super().get_urls()]

    def build_path(self, act: AdminAction) -> URLPattern:
        def view(request: HttpRequest) -> HttpResponse:
            return self.act_view(request, act)

        return self.own_path(f"{act.name}/", view, act.name)

    def detail_tools(self, request: HttpRequest, obj: Any) -> list[tuple[str, Any]]:
        return [
            (f"{self.own_url(act.name)}?ids={obj.pk}", act.label)
            for act in self.acts
            if self.may(request, act.permission, obj) and act.plan(obj)[0]
        ]

    def act_view(self, request: HttpRequest, act: AdminAction) -> HttpResponse:
        """The page that asks, and what follows when the answer is yes."""
        given = request.POST if request.method == "POST" else request.GET
        ids = list_ids(given.get("ids", ""))[: act.limit]
        rows = self.list_rows(request, ids)
        if not self.has_view_permission(request) or not self.may_begin(request, act, rows):
            raise PermissionDenied
        if request.method == "POST" and "confirmed" in request.POST:
            plans = self.list_plans(request, act, rows)
            promised = [plan.row for plan in plans if plan.will]
            form = act.build_form(request, promised, request.POST)
            if promised and form.is_valid():
                return act.run(self, request, promised, form)
            return self.ask(request, act, rows, form=form)
        return self.ask(request, act, rows)

    def may_begin(self, request: HttpRequest, act: AdminAction, rows: Sequence[Any]) -> bool:
        """Who may do it to no row at all does not even see the page."""
        return self.may(request, act.permission) or any(
            self.may(request, act.permission, row) for row in rows
        )

    def list_rows(self, request: HttpRequest, ids: Sequence[int]) -> list[Any]:
        """The rows of these ids that this user is shown, in the list's own order."""
        return list(self.get_queryset(request).filter(pk__in=ids).order_by(*self.ordering))

    def list_plans(self, request: HttpRequest, act: AdminAction, rows: Sequence[Any]) -> list[ActionPreview]:
        plans = []
        for row in rows:
            if self.may(request, act.permission, row):
                will, text = act.plan(row)
            else:
                will, text = False, gettext("You may not do this – left alone")
            plans.append(ActionPreview(row=row, name=act.describe(row), will=will, text=str(text)))
        return plans

    def ask(
        self, request: HttpRequest, act: AdminAction, rows: Sequence[Any], *, form: forms.Form | None = None
    ) -> HttpResponse:
        plans = self.list_plans(request, act, rows)
        promised = [plan.row for plan in plans if plan.will]
        if form is None:
            form = act.build_form(request, promised)
        return self.show(
            request,
            "action.html",
            title=act.question(len(promised)) if promised else act.label,
            plans=plans[:MAX_SHOWN],
            more=max(len(plans) - MAX_SHOWN, 0),
            form=form,
            ids=join_ids(rows),
            action_url=self.own_url(act.name),
            button=act.button(len(promised)),
            can_go_on=bool(promised),
            back=self.way_back(rows),
        )

    def way_back(self, rows: Sequence[Any]) -> str:
        return self.own_url("change", rows[0].pk) if len(rows) == 1 else self.own_url("changelist")


def make_action(act: AdminAction) -> Callable[..., HttpResponse | None]:
    """The act as an action of the list. It asks; the page's form does it."""

    def action(admin: ActionsMixin, request: HttpRequest, queryset: Any) -> HttpResponse | None:
        rows = list(queryset.order_by(*admin.ordering)[: act.limit + 1])
        if len(rows) > act.limit:
            text = ngettext(
                "Choose at most %(limit)d row for this.", "Choose at most %(limit)d rows for this.", act.limit
            )
            messages.error(request, text % {"limit": act.limit})
            return None
        return admin.ask(request, act, rows)

    action.__name__ = f"meetergo_{act.name}"
    action.short_description = act.label  # type: ignore[attr-defined]
    action.allowed_permissions = (act.permission,)  # type: ignore[attr-defined]
    return action


class MakeDueAction(AdminAction):
    """Makes rows due at once; the background work does the rest."""

    told = _("will be done in a moment")

    def make_due(self, row: Any) -> bool:
        """False when the row has moved on meanwhile."""
        raise NotImplementedError

    def carry_out(self, request: HttpRequest, row: Any, form: forms.Form) -> ActionResult:
        if self.make_due(row):
            return ActionResult(text=str(self.told))
        return ActionResult(text=gettext("has moved on meanwhile – left alone"), level=messages.INFO)
