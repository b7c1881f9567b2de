"""Meeting types, hosts and questions in the admin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, cast

from django import forms
from django.contrib import admin, messages
from django.contrib.auth import get_user_model
from django.core.exceptions import ImproperlyConfigured
from django.db.models import Count, ManyToManyField, Prefetch, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.html import format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from django_meetergo import links
from django_meetergo.admin.actions import ActionsMixin, AdminAction
from django_meetergo.admin.base import MeetergoAdmin
from django_meetergo.admin.display import format_age, render_outside_link
from django_meetergo.admin.errors import describe_error
from django_meetergo.admin.filters import ConnectionFilter
from django_meetergo.exceptions import MeetergoError
from django_meetergo.formatting import format_pair, name_channel
from django_meetergo.models import DataField, Host, MeetingType
from django_meetergo.presentation.questions import list_names
from django_meetergo.services import create_one_time_link
from django_meetergo.services.booking.validation import MAX_ANSWERS
from django_meetergo.services.mirror.data_fields import note_uploads
from django_meetergo.services.sync.directory import renew_version


class CreateOneTimeLinks(AdminAction):
    """Creates a link per meeting type on which one person can book once. Each use is logged."""

    name, permission = "one_time_link", "link"
    label = _("Copy a one-time link")
    needs_confirmation = False

    def preview(self, row: MeetingType) -> tuple[bool, str]:
        if not row.is_bookable:
            return False, gettext("No change: this meeting type cannot be booked at the moment")
        return True, gettext("Anyone with the link can book once at meetergo")

    def execute(
        self, admin: ActionsMixin, request: HttpRequest, rows: Sequence[Any], form: forms.Form
    ) -> HttpResponse:
        shown = []
        for row in rows:
            try:
                url = create_one_time_link(meeting_type=row)
            except (MeetergoError, ImproperlyConfigured) as error:
                text = gettext("not done. %(why)s") % {"why": describe_error(error)}
                messages.error(request, format_pair(row, text))
                continue
            shown.append(("", row, url))
            admin.log_change(request, row, gettext("Created a one-time link"))
        if not shown:
            return HttpResponseRedirect(admin.get_return_url(rows))
        notice = _("One person can book once with each link. An unused link expires after 30 days.")
        return admin.render_links(request, rows, shown, title=_("One-time links"), notice=notice)


class DirectoryAdmin(MeetergoAdmin):
    defer = ("raw",)
    readonly_notice = _("Add and change these records at meetergo; the next sync updates them here.")
    empty_notice = _("There are no records yet. Run manage.py meetergo_sync.")

    @admin.display(description=_("last updated"), ordering="synced_at")
    def last_updated(self, row: Any) -> str:
        return format_age(row.synced_at)

    @admin.display(description=_("at meetergo"), boolean=True)
    def present(self, row: Any) -> bool:
        return row.missing_since is None


class MeetingTypeForm(forms.ModelForm):  # type: ignore[type-arg]  # cannot be subscripted at runtime
    """The columns of this site. Offers the questions of the meeting type's own company."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Without the permission to change the row there are no fields.
        if field := self.fields.get("data_fields"):
            cast(Any, field).queryset = DataField.objects.filter(
                connection=self.instance.connection, missing_since=None
            ).defer("raw")

    def clean_data_fields(self) -> Any:
        chosen = self.cleaned_data["data_fields"]
        number = len(list_names(self.instance.slug, chosen))
        if number > MAX_ANSWERS:
            message = gettext(
                "Choose fewer questions: the booking form would ask %(number)d, and meetergo accepts "
                "%(limit)d answers."
            )
            raise forms.ValidationError(message % {"number": number, "limit": MAX_ANSWERS})
        return chosen


@admin.register(MeetingType)
class MeetingTypeAdmin(DirectoryAdmin, ActionsMixin):
    actions = (CreateOneTimeLinks(),)
    form = MeetingTypeForm
    site_fields = ("calculation_method", "data_fields")
    formfield_overrides: ClassVar[Any] = {ManyToManyField: {"widget": forms.CheckboxSelectMultiple}}
    ordering = ("name", "pk")
    list_display = (
        "name",
        "slug",
        "duration",
        "spots",
        "host_count",
        "confirmation",
        "enabled",
        "present",
    )
    list_filter = ("enabled", "confirmation", ConnectionFilter)
    search_fields = ("name", "slug", "=remote_id")
    fieldsets = (
        (None, {"fields": ("name", "slug", "description", "enabled", "present", "last_updated")}),
        (
            _("How it is booked"),
            {
                "fields": (
                    "duration", "durations", "spots", "confirmation", "channel_name", "channels",
                    "places", "host_names", "calculation_method",
                    "allows_guests", "allows_phone_only", "needs_own_page", "page",
                )
            },
        ),
        (_("What the booking form asks"), {"fields": ("data_fields",)}),
        (
            _("Technical details"),
            {"classes": ("collapse",), "fields": ("connection", "remote_id", "host_ids", "queue_id")},
        ),
    )  # fmt: skip

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:  # noqa: FBT001
        has_changed = "data_fields" in form.changed_data
        if not has_changed:
            form.save_m2m = lambda: None  # it would write what the page showed over a colleague's choice
        super().save_related(request, form, formsets, change)
        if has_changed:
            note_uploads()
            renew_version()

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request)
        counted: QuerySet[Any] = rows.annotate(number_of_hosts=Count("hosts"))
        return counted

    def get_view_on_site_url(self, obj: Any = None) -> str | None:
        return super().get_view_on_site_url(obj) if links.has_pages() else None

    @admin.display(description=_("hosts"))
    def host_count(self, row: Any) -> int:
        return int(row.number_of_hosts)

    @admin.display(description=_("allowed durations"))
    def durations(self, row: MeetingType) -> str:
        return ", ".join(str(minutes) for minutes in row.allowed_durations) or "–"

    @admin.display(description=_("channels to choose from"))
    def channels(self, row: MeetingType) -> str:
        return ", ".join(name_channel(channel) or channel for channel in row.allowed_channels) or "–"

    @admin.display(description=_("places"))
    def places(self, row: MeetingType) -> SafeString | str:
        return format_html_join(mark_safe("<br>"), "{}", ((place,) for place in row.locations)) or "–"

    @admin.display(description=_("page at meetergo"))
    def page(self, row: MeetingType) -> SafeString | str:
        return render_outside_link(row.booking_url)


@admin.register(Host)
class HostAdmin(DirectoryAdmin):
    site_fields = ("user",)
    ordering = ("name", "pk")
    list_display = ("name", "email", "user", "timezone", "present", "last_updated")
    list_select_related = ("user",)
    list_display_links = ("name", "email")
    list_filter = (ConnectionFilter,)
    search_fields = ("name", "email", "=remote_id")
    fieldsets = (
        (None, {"fields": ("name", "email", "timezone", "user", "present", "last_updated")}),
        (_("Technical details"), {"classes": ("collapse",), "fields": ("connection", "remote_id")}),
    )

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Offer staff users only: a site may have very many visitors with an account.

        Also those who were chosen before, or saving the page would remove them.
        """
        users = get_user_model()._default_manager.all()
        if any(field.name == "is_staff" for field in users.model._meta.concrete_fields):
            chosen = Host.objects.exclude(user=None).values("user")
            users = users.filter(Q(is_staff=True) | Q(pk__in=chosen))
        return super().formfield_for_foreignkey(db_field, request, queryset=users, **kwargs)


@admin.register(DataField)
class DataFieldAdmin(DirectoryAdmin):
    ordering = ("position", "pk")
    list_display = ("label", "kind", "required", "asked_by", "present", "last_updated")
    list_filter = ("kind", ConnectionFilter)
    search_fields = ("label", "name", "=remote_id")
    fieldsets = (
        (None, {"fields": ("label", "kind", "required", "answers", "asked_by", "present", "last_updated")}),
        (_("Technical details"), {"classes": ("collapse",), "fields": ("connection", "remote_id", "name")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request)
        return rows.prefetch_related(Prefetch("meeting_types", MeetingType.objects.only("name")))

    @admin.display(description=_("asked by"))
    def asked_by(self, row: DataField) -> str:
        return ", ".join(str(meeting_type) for meeting_type in row.meeting_types.all()) or "–"

    @admin.display(description=_("choices"))
    def answers(self, row: DataField) -> str:
        return ", ".join(label for _value, label in row.choices) or "–"
