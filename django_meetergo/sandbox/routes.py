"""The routing table."""

from __future__ import annotations

from collections.abc import Callable

from django_meetergo.sandbox.handlers import appointments, bookings, directory, guide, handoffs, webhooks
from django_meetergo.sandbox.handlers.availability import get_availability
from django_meetergo.sandbox.http import Response
from django_meetergo.sandbox.routing import Call, Route


def _account(method: str, template: str, handler: Callable[[Call], Response]) -> Route:
    return Route(method, template, handler, scope="account")


# The first match wins, so fixed words come before parameters.
ROUTES = (
    Route("GET", "/v4/user/me", directory.get_me, scope="account", needs_user=False),
    _account("GET", "/v4/user", directory.list_users),
    Route("GET", "/v4/meeting-type", directory.list_meeting_types),
    Route("GET", "/v4/meeting-type/{id}", directory.get_meeting_type),
    Route("GET", "/v4/booking-availability", get_availability, needs_user=False),
    Route("POST", "/v4/booking", bookings.create_booking, needs_user=False),
    Route("GET", "/v4/appointment/paginated", appointments.list_appointments),
    Route("GET", "/v4/appointment/today", appointments.list_today),
    Route("GET", "/v4/appointment/{id}", appointments.get_appointment),
    Route("POST", "/v4/appointment/{id}/cancel", appointments.cancel_appointment),
    Route("POST", "/v4/appointment/{id}/reschedule", appointments.reschedule_appointment),
    Route("PATCH", "/v4/appointment/{id}/guest", appointments.add_guest),
    Route("PATCH", "/v4/appointment/{id}/notes", appointments.set_note),
    Route("GET", "/v4/provisional-booking/paginated", bookings.list_provisional),
    Route("POST", "/v4/provisional-booking/{id}/decline", bookings.decline_provisional),
    Route("GET", "/v4/queue/workspace/{workspaceId}", directory.list_workspace_queues),
    Route("GET", "/v4/queue/{id}", directory.get_queue),
    Route("GET", "/v4/queue/{id}/next", directory.get_next_hosts),
    Route("POST", "/v4/one-time-booking-link/create/{id}", directory.create_one_time_link),
    Route("GET", "/v4/data-field", directory.list_data_fields),
    Route("GET", "/v4/calendar-connections/connections", directory.list_calendar_connections),
    Route("POST", "/v4/handoff/appointment", handoffs.hand_over_appointment),
    Route("POST", "/v4/handoff/bulk", handoffs.hand_over_many),
    Route("GET", "/v4/handoff/available-handoffs", handoffs.list_available_handoffs),
    _account("GET", "/webhooks", webhooks.list_webhooks),
    _account("POST", "/webhooks", webhooks.create_webhook),
    _account("PATCH", "/webhooks/{id}", webhooks.update_webhook),
    _account("DELETE", "/webhooks/{id}", webhooks.delete_webhook),
    Route("POST", "/booking/cancel/{id}", guide.cancel_as_host, needs_user=False),
    Route("POST", "/booking/reschedule/{id}", guide.reschedule_as_host, needs_user=False),
    Route("POST", "/booking/confirm/cancel/{id}/{secret}", guide.cancel_with_secret, is_open=True),
    Route("POST", "/booking/confirm/reschedule", guide.reschedule_with_secret, is_open=True),
)
