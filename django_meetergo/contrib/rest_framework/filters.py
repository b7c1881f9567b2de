"""Which appointments staff want to see, and in which order."""

from __future__ import annotations

from typing import Any

import django_filters
from django.db.models import Exists, OuterRef, QuerySet
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema_field
from rest_framework.filters import OrderingFilter

from django_meetergo.contrib.rest_framework.instants import InstantFormField
from django_meetergo.contrib.rest_framework.problems import invalid
from django_meetergo.models import Appointment, Attendee, Host, fold_email


@extend_schema_field(OpenApiTypes.DATETIME)
class InstantFilter(django_filters.Filter):  # type: ignore[misc]
    field_class = InstantFormField


@extend_schema_field(OpenApiTypes.STR)
class TextFilter(django_filters.CharFilter):  # type: ignore[misc]
    pass


class AppointmentFilter(django_filters.FilterSet):  # type: ignore[misc]
    """Times are moments with an offset; people are named by e-mail address."""

    start_from = InstantFilter(field_name="start", lookup_expr="gte", help_text="Begins then or later.")
    start_before = InstantFilter(field_name="start", lookup_expr="lt", help_text="Begins earlier.")
    status = django_filters.ChoiceFilter(choices=Appointment.Status.choices, help_text="As it stands.")
    meeting_type = TextFilter(field_name="meeting_type__slug", max_length=200, help_text="A slug.")
    host = TextFilter(method="of_host", max_length=254, help_text="A host's e-mail address.")
    attendee = TextFilter(
        method="of_attendee", max_length=254, help_text="How an attendee's e-mail address begins."
    )

    class Meta:
        model = Appointment
        fields: list[str] = []

    def is_valid(self) -> bool:
        """A filter that is named and left empty is a mistake, not a wish for everything."""
        for name in self.base_filters:
            if name in self.data and not self.data.get(name, "").strip():
                raise invalid(name, _("Give a value, or leave this out."), "required")
        return bool(super().is_valid())

    def of_host(self, rows: QuerySet[Appointment], name: str, value: str) -> QuerySet[Appointment]:
        hosts = Host.objects.filter(email__iexact=value)
        links = Appointment.hosts.through.objects.filter(appointment=OuterRef("pk"), host__in=hosts)
        return rows.filter(Exists(links))

    def of_attendee(self, rows: QuerySet[Appointment], name: str, value: str) -> QuerySet[Appointment]:
        people = Attendee.objects.filter(email_folded__startswith=fold_email(value))
        return rows.filter(Exists(people.filter(appointment=OuterRef("pk"))))


class Order(OrderingFilter):  # type: ignore[misc]
    """By start or end, either way; the first recorded first among equals."""

    ORDERS = {
        "-start": ("-start", "-pk"),
        "start": ("start", "pk"),
        "-end": ("-end", "-pk"),
        "end": ("end", "pk"),
    }

    def get_ordering(self, request: Any, queryset: Any, view: Any) -> tuple[str, ...]:
        asked = request.query_params.get("ordering", "-start")
        if asked not in self.ORDERS:
            raise invalid("ordering", _("Choose one of: %(offered)s.") % {"offered": ", ".join(self.ORDERS)})
        return self.ORDERS[asked]

    def filter_queryset(self, request: Any, queryset: Any, view: Any) -> Any:
        return queryset.order_by(*self.get_ordering(request, queryset, view))

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        return []  # in ORDERING, where it can be exact


ORDERING = OpenApiParameter(
    "ordering",
    {"type": "string", "enum": list(Order.ORDERS), "default": "-start"},
    description="A minus turns it round.",
)
