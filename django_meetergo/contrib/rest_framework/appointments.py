"""The mirrored appointments, for staff."""

from __future__ import annotations

from functools import cache, cached_property
from typing import Any
from uuid import UUID

from django.db.models import Exists, Model, OuterRef, Prefetch, QuerySet
from django.utils import timezone as clock
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import NotFound, PermissionDenied
from rest_framework.generics import GenericAPIView
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response

from django_meetergo.contrib.rest_framework import permissions
from django_meetergo.contrib.rest_framework.base import MeetergoView
from django_meetergo.contrib.rest_framework.changes import (
    build_not_allowed,
    request_change,
    request_reschedule,
)
from django_meetergo.contrib.rest_framework.filters import (
    ORDERING,
    AppointmentFilter,
    AppointmentFilterBackend,
    AppointmentOrdering,
)
from django_meetergo.contrib.rest_framework.operations import (
    CHANGE,
    FOR_STAFF,
    WITH_BODY,
    describe_operation,
)
from django_meetergo.contrib.rest_framework.pagination import PARAMETERS, AppointmentPagination
from django_meetergo.contrib.rest_framework.problems import (
    CHANGE_NOT_ALLOWED,
    INVALID,
    NOT_FOUND,
    SLOT_TAKEN,
    build_invalid,
)
from django_meetergo.contrib.rest_framework.serializers.appointments import (
    AppointmentSerializer,
    AttendeeSerializer,
    HostSerializer,
    RescheduleSerializer,
    StaffCancelSerializer,
)
from django_meetergo.contrib.rest_framework.serializers.base import ApiSerializer
from django_meetergo.contrib.rest_framework.serializers.bookings import POLL_SOON
from django_meetergo.lookups import find_one
from django_meetergo.models import Appointment, AppointmentChange, Attendee, Host
from django_meetergo.services.changes.requests import cancel_appointment, find_same_reschedule
from django_meetergo.services.clients import build_client
from django_meetergo.services.sync.appointments import sync_appointment
from django_meetergo.visitors import get_user

ID = OpenApiParameter("id", UUID, OpenApiParameter.PATH)


def get_displayed_rows() -> QuerySet[Appointment]:
    """Return appointments with the columns that the serializers show, in three statements for any number."""
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
def list_columns(model: type[Model], serializer_class: type[ApiSerializer]) -> list[str]:
    """Return the columns that a serializer shows unchanged."""
    columns = {field.name for field in model._meta.concrete_fields}
    return [field.source for field in serializer_class().fields.values() if field.source in columns]


class AppointmentView(MeetergoView):
    """Views of appointments, for signed-in users. Each checks what the user may do with which row.

    To narrow which appointments a user sees, override ``scope`` and route to your own subclasses.
    """

    permission_classes = [IsAuthenticated]
    throttle_scope = "meetergo-staff"

    def scope(self, rows: QuerySet[Appointment]) -> QuerySet[Appointment]:
        """Return the rows that this request may see; all others do not exist for it."""
        return rows

    def filter_own(self, rows: Any) -> QuerySet[Appointment]:
        """Return only the appointments of the user's own hosts, for a user who may see no others."""
        if self.view_permissions == {permissions.VIEW_OWN}:
            rows = rows.of_host_user(self.request.user)
        narrowed: QuerySet[Appointment] = rows
        return narrowed

    @cached_property
    def view_permissions(self) -> set[str]:
        return permissions.list_view_permissions(self.request.user)

    def get_queryset(self) -> QuerySet[Appointment]:
        return self.scope(self.filter_own(get_displayed_rows()))

    def get_rows(self) -> QuerySet[Appointment]:
        """Return the rows from which ``get_appointment`` picks one."""
        return self.get_queryset()

    def get_appointment(self, text: str, names: tuple[str, ...] = permissions.VIEW) -> Appointment:
        """Return the appointment with this public id.

        Raises NotFound if there is none, and PermissionDenied if the user may not see it or has none of the
        permissions ``names`` for it.
        """
        user = self.request.user
        try:
            row = find_one(self.get_rows().filter(public_id=UUID(text)))
        except ValueError:
            row = None
        if row is None or not permissions.has_any_permission(user, permissions.VIEW, row):
            # A user who may see no appointment does not learn whether this one exists.
            raise NotFound if permissions.has_any_permission(user, permissions.VIEW) else PermissionDenied
        if not permissions.has_any_permission(user, names, row):
            raise PermissionDenied
        return row

    def show_changed(self, row: Appointment, status: int = 200) -> Response:
        """Show what became of a row, which may have left the user's rows by the change."""
        fresh = get_displayed_rows().get(pk=row.pk)
        headers = {"Retry-After": str(POLL_SOON)} if status == 202 else {}
        return self.build_response(AppointmentSerializer, fresh, status=status, headers=headers)


class AppointmentList(AppointmentView, GenericAPIView):  # type: ignore[misc]
    queryset = Appointment.objects.none()
    serializer_class = AppointmentSerializer
    pagination_class = AppointmentPagination
    filter_backends = [AppointmentFilterBackend, AppointmentOrdering]
    filterset_class = AppointmentFilter

    @describe_operation(
        "list_appointments",
        "List appointments",
        {200: AppointmentSerializer(many=True)},
        *FOR_STAFF,
        INVALID,
        parameters=[*PARAMETERS, ORDERING],
        filters=True,
    )
    def get(self, request: Any) -> Response:
        """List appointments, the latest start first by default."""
        if not self.view_permissions:
            raise PermissionDenied
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        response: Response = self.get_paginated_response(
            AppointmentSerializer(page, many=True, context=self.get_serializer_context()).data
        )
        return response


class AppointmentDetail(AppointmentView):
    @describe_operation(
        "get_appointment",
        "Show an appointment",
        {200: AppointmentSerializer},
        *FOR_STAFF,
        NOT_FOUND,
        parameters=[ID],
    )
    def get(self, request: Any, id: str) -> Response:  # noqa: A002 - the parameter's name in the URL
        """Show one appointment."""
        return self.build_response(AppointmentSerializer, self.get_appointment(id))


class AppointmentAction(AppointmentView):
    throttle_scope = "meetergo-staff-change"

    def get_rows(self) -> QuerySet[Appointment]:
        """Return rows with the columns that services need instead of those that are shown."""
        rows = Appointment.objects.select_related("meeting_type").defer("raw", "meeting_type__raw")
        return self.scope(self.filter_own(rows))


class AppointmentCancel(AppointmentAction):
    @describe_operation(
        "cancel_appointment",
        "Cancel an appointment",
        {200: AppointmentSerializer, 202: AppointmentSerializer},
        *WITH_BODY,
        *FOR_STAFF,
        NOT_FOUND,
        *CHANGE,
        parameters=[ID],
        retry_after=[202],
        request=StaffCancelSerializer,
    )
    def post(self, request: Any, id: str) -> Response:  # noqa: A002
        """Cancel as the host. For a group, name the attendee who leaves or set `cancel_all`."""
        row = self.get_appointment(id, permissions.CANCEL)
        data = self.validate_body(StaffCancelSerializer)
        change = request_change(
            cancel_appointment,
            row,
            attendee=self.find_attendee(row, data.get("attendee")),
            cancel_all=data.get("cancel_all", False),
            reason=data.get("reason", ""),
            user=get_user(request),
        )
        return self.show_changed(row, 202 if change.is_open else 200)

    def find_attendee(self, row: Appointment, public_id: UUID | None) -> Attendee | None:
        if public_id is None:
            return None
        attendee = find_one(row.attendees.filter(public_id=public_id))
        if attendee is None:
            raise build_invalid("attendee", _("This appointment has no such attendee."), "unknown")
        return attendee


class AppointmentReschedule(AppointmentAction):
    @describe_operation(
        "reschedule_appointment",
        "Reschedule an appointment",
        {200: AppointmentSerializer, 202: AppointmentSerializer},
        *WITH_BODY,
        *FOR_STAFF,
        NOT_FOUND,
        SLOT_TAKEN,
        *CHANGE,
        parameters=[ID],
        retry_after=[202],
        request=RescheduleSerializer,
    )
    def post(self, request: Any, id: str) -> Response:  # noqa: A002
        """Reschedule as the host; the duration stays. If the new time is taken, the present one stays."""
        row = self.get_appointment(id, permissions.RESCHEDULE)
        start = self.validate_body(RescheduleSerializer)["start"]
        change = find_same_reschedule(row, start) or request_reschedule(row, start, user=get_user(request))
        return self.show_changed(row, 202 if change.is_open else 200)


class AppointmentResync(AppointmentAction):
    @describe_operation(
        "resync_appointment",
        "Read an appointment from meetergo",
        {200: AppointmentSerializer},
        *FOR_STAFF,
        NOT_FOUND,
        CHANGE_NOT_ALLOWED,
        parameters=[ID],
        request=None,
    )
    def post(self, request: Any, id: str) -> Response:  # noqa: A002
        """Read the appointment from meetergo now, and show it."""
        row = self.get_appointment(id, permissions.SYNC)
        if not row.is_connected:
            raise build_not_allowed("not_connected")
        client = build_client(row.reader, "reread")
        sync_appointment(appointment=row, client=client, now=clock.now())
        return self.show_changed(row)
