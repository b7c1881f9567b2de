"""The page of a batch: how far its changes have come."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.translation import gettext

from django_meetergo.admin.appointment_actions import MAX_CHANGES, describe_appointment
from django_meetergo.admin.base import MeetergoAdmin
from django_meetergo.admin.display import format_moment
from django_meetergo.admin.errors import describe_outcome
from django_meetergo.models import AppointmentChange
from django_meetergo.services.changes import batches

State = AppointmentChange.State
#: The admin's icons for changes that are not waiting.
STATE_ICONS = {
    State.DONE: "admin/img/icon-yes.svg",
    State.REFUSED: "admin/img/icon-no.svg",
    State.UNKNOWN: "admin/img/icon-unknown.svg",
}
#: Seconds after which the browser loads the page of an unfinished batch again.
REFRESH_SECONDS = 3


class BatchMixin(MeetergoAdmin):
    """The page of a batch beside the list of appointments."""

    def get_urls(self) -> list[Any]:
        return [self.build_url_pattern("batch/<uuid:batch>/", self.batch_view, "batch"), *super().get_urls()]

    def batch_view(self, request: HttpRequest, batch: UUID) -> HttpResponse:
        """Show the progress of a batch and the result of each change that this user may see.

        Users also see their own requests, whose appointments may be a colleague's by now.
        """
        if not self.has_view_permission(request):
            raise PermissionDenied
        visible = set(self.get_queryset(request).filter(changes__batch=batch).values_list("pk", flat=True))
        rows = AppointmentChange.objects.filter(batch=batch)
        rows = rows.filter(Q(appointment__in=visible) | Q(user=request.user.pk))
        rows = rows.select_related("appointment__meeting_type", "target_host")
        rows = rows.prefetch_related("appointment__attendees")
        rows = rows.defer("appointment__raw", "appointment__secret", "target_host__raw")
        if not rows.exists():
            raise Http404
        progress = batches.count_batch(batch=batch)
        changes = [
            (
                describe_appointment(row.appointment, row.previous_start),
                self.get_admin_url("change", row.appointment_id) if row.appointment_id in visible else "",
                STATE_ICONS.get(State(row.state), ""),
                describe_change(row),
            )
            for row in rows.order_by("previous_start", "pk")[:MAX_CHANGES]
        ]
        response = self.render_page(
            request,
            "batch.html",
            title=describe_progress(progress),
            progress=progress,
            changes=changes,
            back=self.get_admin_url("changelist"),
        )
        if not progress.is_over:
            response["Refresh"] = str(REFRESH_SECONDS)
        return response


def describe_progress(progress: batches.Progress) -> str:
    """Return the state of a batch in words."""
    if not progress.is_over:
        return gettext("In progress")
    if progress.refused == progress.total:
        return gettext("Refused")
    return gettext("Partly done") if progress.refused else gettext("Done")


def describe_change(change: AppointmentChange) -> str:
    """Return the result of a change in words for staff."""
    match change.state:
        case State.DONE if change.kind == AppointmentChange.Kind.RESCHEDULE:
            return gettext("Rescheduled to %(start)s") % {"start": format_moment(change.target_start)}
        case State.DONE if change.kind == AppointmentChange.Kind.HANDOFF:
            return gettext("Handed over to %(host)s") % {"host": change.target_host}
        case State.DONE:
            return gettext("Cancelled")
        case State.REFUSED if change.outcome == "slot_taken" and change.target_host:
            return gettext("Refused: %(host)s is not free at this time. The appointment keeps its host.") % {
                "host": change.target_host
            }
        case State.REFUSED if change.outcome == "slot_taken":
            return gettext("Refused: the new time is no longer free. The appointment keeps its old time.")
        case State.REFUSED:
            return gettext("Refused: %(why)s") % {"why": change.message or describe_outcome(change.outcome)}
        case State.UNKNOWN:
            return gettext("Being checked: meetergo has not confirmed the change yet")
    return gettext("Waiting to be sent")
