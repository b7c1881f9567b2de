"""Filters and ordering of the appointments list."""

from __future__ import annotations

from typing import Any

import django_filters
from django.apps import apps
from django.db.models import Exists, OuterRef, QuerySet
from django.utils.translation import gettext as _
from django_filters.rest_framework import DjangoFilterBackend
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema_field
from rest_framework.filters import OrderingFilter

from django_meetergo.contrib.rest_framework.fields import InstantFormField
from django_meetergo.contrib.rest_framework.problems import build_invalid
from django_meetergo.models import Appointment, Attendee, Host, fold_email


@extend_schema_field(OpenApiTypes.DATETIME)
class InstantFilter(django_filters.Filter):  # type: ignore[misc]
    field_class = InstantFormField


@extend_schema_field(OpenApiTypes.STR)
class TextFilter(django_filters.CharFilter):  # type: ignore[misc]
    pass


class AppointmentFilterBackend(DjangoFilterBackend):  # type: ignore[misc]
    """Filter by ``AppointmentFilter``; the browsable API shows its form where that is installed."""

    def to_html(self, request: Any, queryset: Any, view: Any) -> Any:
        return super().to_html(request, queryset, view) if apps.is_installed("django_filters") else ""


class AppointmentFilter(django_filters.FilterSet):  # type: ignore[misc]
    """Filter by instants with an offset, by slug, and by e-mail addresses of hosts and attendees."""

    start_from = InstantFilter(field_name="start", lookup_expr="gte", help_text="Starts at or after.")
    start_before = InstantFilter(field_name="start", lookup_expr="lt", help_text="Starts before.")
    status = django_filters.ChoiceFilter(choices=Appointment.Status.choices, help_text="The present status.")
    meeting_type = TextFilter(field_name="meeting_type__slug", max_length=200, help_text="A slug.")
    host = TextFilter(method="filter_by_host", max_length=254, help_text="A host's e-mail address.")
    attendee = TextFilter(
        method="filter_by_attendee",
        max_length=254,
        help_text="The beginning of an attendee's e-mail address.",
    )

    class Meta:
        model = Appointment
        fields: list[str] = []

    def is_valid(self) -> bool:
        """Refuse a filter that is present and empty: it is a mistake of the client, not a request for all."""
        for name in self.base_filters:
            if name in self.data and not self.data.get(name, "").strip():
                raise build_invalid(name, _("Give a value, or leave this out."), "required")
        return bool(super().is_valid())

    def filter_by_host(self, rows: QuerySet[Appointment], name: str, value: str) -> QuerySet[Appointment]:
        hosts = Host.objects.filter(email__iexact=value)
        links = Appointment.hosts.through.objects.filter(appointment=OuterRef("pk"), host__in=hosts)
        return rows.filter(Exists(links))

    def filter_by_attendee(self, rows: QuerySet[Appointment], name: str, value: str) -> QuerySet[Appointment]:
        people = Attendee.objects.filter(email_folded__startswith=fold_email(value))
        return rows.filter(Exists(people.filter(appointment=OuterRef("pk"))))


class AppointmentOrdering(OrderingFilter):  # type: ignore[misc]
    """Order by start or end in either direction; the primary key makes the order total."""

    ORDERS = {
        "-start": ("-start", "-pk"),
        "start": ("start", "pk"),
        "-end": ("-end", "-pk"),
        "end": ("end", "pk"),
    }

    def get_ordering(self, request: Any, queryset: Any, view: Any) -> tuple[str, ...]:
        ordering = request.query_params.get("ordering", "-start")
        if ordering not in self.ORDERS:
            message = _("Choose one of: %(offered)s.") % {"offered": ", ".join(self.ORDERS)}
            raise build_invalid("ordering", message)
        return self.ORDERS[ordering]

    def filter_queryset(self, request: Any, queryset: Any, view: Any) -> Any:
        return queryset.order_by(*self.get_ordering(request, queryset, view))

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        return []  # ORDERING describes it more exactly


ORDERING = OpenApiParameter(
    "ordering",
    {"type": "string", "enum": list(AppointmentOrdering.ORDERS)},
    description="The column to order by, `-start` if left out; a minus sign reverses the order.",
)
