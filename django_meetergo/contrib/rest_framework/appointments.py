"""The mirror, for people who work with it."""

from __future__ import annotations

from functools import cache
from typing import Any
from uuid import UUID

from django.db.models import Exists, Model, OuterRef, Prefetch, QuerySet
from django.utils import timezone as clock
from django_filters.rest_framework import DjangoFilterBackend
from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import NotFound, PermissionDenied
from rest_framework.generics import GenericAPIView
from rest_framework.response import Response

from django_meetergo.contrib.rest_framework import permissions
from django_meetergo.contrib.rest_framework.base import WITH_BODY, StaffView, build_responses, document
from django_meetergo.contrib.rest_framework.filters import ORDERING, AppointmentFilter, Order
from django_meetergo.contrib.rest_framework.manage import RETRY_SECONDS, request_cancel, request_move
from django_meetergo.contrib.rest_framework.pagination import PARAMETERS, AppointmentPages
from django_meetergo.contrib.rest_framework.problems import invalid
from django_meetergo.contrib.rest_framework.serializers import (
    POLL_SOON,
    AppointmentSerializer,
    AttendeeSerializer,
    Document,
    HostSerializer,
    RescheduleSerializer,
    StaffCancelSerializer,
)
from django_meetergo.models import Appointment, AppointmentChange, Attendee, Host
from django_meetergo.services.clients import build_client
from django_meetergo.services.sync.appointments import sync_appointment

ID = OpenApiParameter("id", UUID, OpenApiParameter.PATH)


def list_shown() -> QuerySet[Appointment]:
    """Appointments with what a row shows and no more, in three statements for any number of rows."""
    changing = AppointmentChange.objects.filter(appointment=OuterRef("pk"), state__in=AppointmentChange.OPEN)
    hosts = Host.objects.only(*list_columns(Host, HostSerializer))
    attendees = Attendee.objects.only(
        "appointment", "custom_fields", *list_columns(Attendee, AttendeeSerializer)
    )
    return (
        Appointment.objects.select_related("meeting_type")
        .prefetch_related(Prefetch("hosts", hosts), Prefetch("attendees", attendees))
        .annotate(is_changing=Exists(changing))
        .only("meeting_type__slug", *list_columns(Appointment, AppointmentSerializer))
    )


@cache
def list_columns(model: type[Model], serializer_class: type[Document]) -> list[str]:
    """The columns that a serializer shows as they are."""
    columns = {field.name for field in model._meta.concrete_fields}
    return [field.source for field in serializer_class().fields.values() if field.source in columns]


class AppointmentView(StaffView):
    """A site with a narrower idea of who sees what overrides ``scope`` and routes to its own views."""

    throttle_scope = "meetergo-staff"

    def scope(self, rows: QuerySet[Appointment]) -> QuerySet[Appointment]:
        """The rows this request may know of at all."""
        return rows

    def get_queryset(self) -> QuerySet[Appointment]:
        return self.scope(list_shown())

    def get_rows(self) -> QuerySet[Appointment]:
        """Where the one row is looked for that this address is about."""
        return self.get_queryset()

    def find(self, text: str, names: tuple[str, ...] = permissions.VIEW) -> Appointment:
        """The appointment, for somebody who may see it and has one of these permissions for it."""
        user = self.request.user
        try:
            row = self.get_rows().filter(public_id=UUID(text)).first()
        except ValueError:
            row = None
        if row is None or not permissions.may(user, permissions.VIEW, row):
            # Who may not see any, learns nothing about this one.
            raise NotFound if permissions.may(user, permissions.VIEW) else PermissionDenied
        if not permissions.may(user, names, row):
            raise PermissionDenied
        return row

    def show_changed(self, row: Appointment, status: int = 200) -> Response:
        fresh = self.get_queryset().get(pk=row.pk)
        headers = {"Retry-After": str(POLL_SOON)} if status == 202 else {}
        return self.show(AppointmentSerializer, fresh, status=status, headers=headers)


class AppointmentList(AppointmentView, GenericAPIView):  # type: ignore[misc]
    queryset = Appointment.objects.none()
    serializer_class = AppointmentSerializer
    pagination_class = AppointmentPages
    filter_backends = [DjangoFilterBackend, Order]
    filterset_class = AppointmentFilter

    @document(
        operation_id="list_appointments",
        parameters=[*PARAMETERS, ORDERING],
        filters=True,
        responses=build_responses({200: AppointmentSerializer(many=True)}, 403, 422),
    )
    def get(self, request: Any) -> Response:
        """Appointments, latest first unless asked otherwise. Pages cost the same however deep they are."""
        if not permissions.may_list(request.user):
            raise PermissionDenied
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        answer: Response = self.get_paginated_response(
            AppointmentSerializer(page, many=True, context=self.get_context()).data
        )
        return answer


class AppointmentDetail(AppointmentView):
    @document(
        operation_id="get_appointment",
        parameters=[ID],
        responses=build_responses({200: AppointmentSerializer}, 403, 404),
    )
    def get(self, request: Any, id: str) -> Response:  # noqa: A002 - its name in the address
        """One appointment."""
        return self.show(AppointmentSerializer, self.find(id))


class AppointmentAction(AppointmentView):
    throttle_scope = "meetergo-staff-change"

    def get_rows(self) -> QuerySet[Appointment]:
        """With what services need of a row, which is something else than what is shown of it."""
        return self.scope(
            Appointment.objects.select_related("meeting_type").defer("raw", "meeting_type__raw")
        )


class AppointmentCancel(AppointmentAction):
    @document(
        operation_id="cancel_appointment",
        parameters=[ID, RETRY_SECONDS],
        request=StaffCancelSerializer,
        responses=build_responses(
            {200: AppointmentSerializer, 202: AppointmentSerializer}, *WITH_BODY, 403, 404, 409
        ),
    )
    def post(self, request: Any, id: str) -> Response:  # noqa: A002
        """Cancel as the host. In a group say who leaves, or that all of it is cancelled."""
        row = self.find(id, permissions.CANCEL)
        wish = self.read(StaffCancelSerializer)
        change = request_cancel(
            row,
            attendee=self.find_attendee(row, wish.get("attendee")),
            cancel_all=wish["cancel_all"],
            reason=wish["reason"],
            user=request.user,
        )
        return self.show_changed(row, 202 if change.is_open else 200)

    def find_attendee(self, row: Appointment, public_id: UUID | None) -> Attendee | None:
        if public_id is None:
            return None
        attendee = row.attendees.filter(public_id=public_id).first()
        if attendee is None:
            raise invalid("attendee", "This appointment has no such attendee.")
        return attendee


class AppointmentReschedule(AppointmentAction):
    @document(
        operation_id="reschedule_appointment",
        parameters=[ID, RETRY_SECONDS],
        request=RescheduleSerializer,
        responses=build_responses(
            {200: AppointmentSerializer, 202: AppointmentSerializer}, *WITH_BODY, 403, 404, 409
        ),
    )
    def post(self, request: Any, id: str) -> Response:  # noqa: A002
        """Move as the host; the length stays, and so does the old time if the new one is taken."""
        row = self.find(id, permissions.RESCHEDULE)
        start = self.read(RescheduleSerializer)["start"]
        change = request_move(row, start, user=request.user)
        return self.show_changed(row, 202 if change.is_open else 200)


class AppointmentResync(AppointmentAction):
    @document(
        operation_id="resync_appointment",
        parameters=[ID],
        request=None,
        responses=build_responses({200: AppointmentSerializer}, 403, 404),
    )
    def post(self, request: Any, id: str) -> Response:  # noqa: A002
        """Read the appointment from the service now."""
        row = self.find(id, permissions.SYNC)
        client = build_client(row.connection, "reread")
        sync_appointment(appointment=row, client=client, now=clock.now())
        return self.show_changed(row)
