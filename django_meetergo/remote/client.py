"""MeetergoClient: one method per endpoint that a service needs, in the manual's order.

Every method may raise the branches of ``RemoteError``; those that write raise ``OutcomeUnknown`` when nobody
can say whether they did. Tags tell where a route is known from: [ref] the generated reference, [docs] the
guides, [mcp] meetergo's own client, [seed] the booking guide.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from http import HTTPStatus
from typing import Any, TypeVar

from django.views.decorators.debug import sensitive_variables

from django_meetergo.exceptions import (
    CircuitOpen,
    CredentialRefused,
    OutcomeUnknown,
    RateLimited,
    RateLimitReached,
    RemoteError,
    Unreachable,
    UnreadableReply,
)
from django_meetergo.remote import payloads
from django_meetergo.remote.circuit_breaker import CircuitBreaker
from django_meetergo.remote.errors import is_read
from django_meetergo.remote.payloads import (
    AppointmentDocument,
    AppointmentPage,
    Availability,
    BookingConfirmed,
    BookingPayload,
    BookingProvisional,
    HostDocument,
    HostPage,
    MeetingTypeDocument,
    ProvisionalPage,
    QueueDocument,
    RescheduleReply,
    WebhookDocument,
    build_booking,
    build_instant,
)
from django_meetergo.remote.rate_limit import RateLimiter
from django_meetergo.remote.transport import Answer, Transport

T = TypeVar("T")

BLOCK_SECONDS = 4.0  # after a 429 that does not say how long; drawn at random up to this


class MeetergoClient:
    """meetergo as Python: arguments and frozen dataclasses in, frozen dataclasses or exceptions out."""

    def __init__(
        self,
        transport: Transport,
        *,
        budget: RateLimiter | None = None,
        circuit: CircuitBreaker | None = None,
        priority: str = "view",
    ) -> None:
        self.transport = transport
        self.budget = budget
        self.circuit = circuit
        self.priority = priority
        #: Seconds that meetergo's clock was ahead of ours at its last good answer to this client.
        self.clock_skew: float | None = None

    def __repr__(self) -> str:
        return f"MeetergoClient({self.transport!r}, lane={self.priority!r})"

    # People and meeting types

    def get_current_user(self) -> HostDocument:
        """``GET /v4/user/me``: whose credential this is. [ref]"""
        return _read(self._get("/v4/user/me"), payloads.parse_host)

    def list_users(self, *, limit: int = 100, offset: int = 0) -> HostPage:
        """``GET /v4/user``: the company's people; needs an admin. [ref]"""
        answer = self._get("/v4/user", query={"limit": limit, "offset": offset})
        return _read(answer, payloads.parse_host_page)

    def list_meeting_types(self) -> tuple[MeetingTypeDocument, ...]:
        """``GET /v4/meeting-type``: all of the acting user's meeting types. [ref, mcp]"""
        return _read(self._get("/v4/meeting-type"), payloads.parse_meeting_types)

    def get_meeting_type(self, meeting_type_id: str) -> MeetingTypeDocument:
        """``GET /v4/meeting-type/{id}``. A malformed id has been answered with 500. [ref]"""
        answer = self._get("/v4/meeting-type/{id}", ids={"id": meeting_type_id})
        return _read(answer, payloads.parse_meeting_type)

    def get_queue(self, queue_id: str) -> QueueDocument:
        """``GET /v4/queue/{id}``: the hosts of a round-robin meeting type. [docs]"""
        return _read(self._get("/v4/queue/{id}", ids={"id": queue_id}), payloads.parse_queue)

    # Free times and bookings

    def get_booking_availability(
        self,
        meeting_type_id: str,
        start: date,
        end: date,
        *,
        host_ids: Sequence[str] = (),
        queue_id: str = "",
        timezone: str = "UTC",
        duration: int | None = None,
        existing_appointment_id: str = "",
        refresh_cache: bool = False,
        troubleshoot: bool = False,
    ) -> Availability:
        """``GET /v4/booking-availability``: free starts between two instants or days. [ref, mcp]

        ``MissingHost`` without hosts and queue. ``troubleshoot`` adds blocked starts with their reasons.
        """
        query = {
            "meetingTypeId": meeting_type_id,
            "start": start,
            "end": end,
            "hostIds": [] if queue_id else list(host_ids),
            "queueId": queue_id,
            "timezone": timezone,
            "meetingDuration": duration,
            "existingAppointmentId": existing_appointment_id,
            "refreshCache": refresh_cache or None,
            "troubleshoot": troubleshoot or None,
        }
        return _read(self._get("/v4/booking-availability", query=query), payloads.parse_availability)

    @sensitive_variables()
    def create_booking(self, payload: BookingPayload) -> BookingConfirmed | BookingProvisional:
        """``POST /v4/booking``: book, or ask for somebody's yes. Never sent twice. [ref, seed]

        ``SlotUnavailable``, ``InvalidDuration``, ``MissingHost`` or ``InvalidFields`` when refused.
        """
        answer = self._call("POST", "/v4/booking", json=build_booking(payload))
        return _read(answer, payloads.parse_booking_reply)

    # Appointments

    def list_appointments(
        self,
        *,
        page: int = 0,
        page_size: int = 100,
        start: date | None = None,
        end: date | None = None,
        meeting_type_id: str = "",
        user_id: str = "",
        sort_by: str = "",
        sort_direction: str = "",
    ) -> AppointmentPage:
        """``GET /v4/appointment/paginated``: one page, counted from 0. [ref, mcp]"""
        query = {
            "page": page,
            "pageSize": page_size,
            "start": start,
            "end": end,
            "meetingTypeId": meeting_type_id,
            "userId": user_id,
            "sortBy": sort_by,
            "sortDirection": sort_direction,
        }
        return _read(self._get("/v4/appointment/paginated", query=query), payloads.parse_appointment_page)

    def list_todays_appointments(self) -> tuple[AppointmentDocument, ...]:
        """``GET /v4/appointment/today``: a bare list. [ref]"""
        return _read(self._get("/v4/appointment/today"), payloads.parse_appointments).appointments

    def get_appointment(self, appointment_id: str) -> AppointmentDocument:
        """``GET /v4/appointment/{id}``: how it stands now; ``NotFound`` if there is none. [ref, seed]"""
        answer = self._get("/v4/appointment/{id}", ids={"id": appointment_id})
        return _read(answer, payloads.parse_appointment)

    def cancel_appointment(
        self, appointment_id: str, *, reason: str = "", attendee_id: str = "", cancel_all: bool = False
    ) -> AppointmentDocument | None:
        """``POST /v4/appointment/{id}/cancel``: the appointment afterwards, if the answer tells it. [ref]

        In groups ``attendee_id`` takes one person out and ``cancel_all`` ends it for everybody.
        """
        body = {"reason": reason, "attendeeId": attendee_id, "cancelAll": cancel_all}
        answer = self._call(
            "POST",
            "/v4/appointment/{id}/cancel",
            ids={"id": appointment_id},
            json={key: value for key, value in body.items() if value},
        )
        return _read_if_told(answer, payloads.parse_appointment)

    def reschedule_appointment(self, appointment_id: str, start: datetime) -> RescheduleReply:
        """``POST /v4/appointment/{id}/reschedule``: the moved appointment; ``SlotUnavailable``. [ref]"""
        answer = self._call(
            "POST",
            "/v4/appointment/{id}/reschedule",
            ids={"id": appointment_id},
            json={"start": build_instant(start)},
        )
        return _read(answer, payloads.parse_reschedule_reply)

    def add_guest(self, appointment_id: str, *, attendee_id: str, email: str) -> None:
        """``PATCH /v4/appointment/{id}/guest``: one more address; the answer may be empty. [mcp]"""
        body = {"attendeeId": attendee_id, "email": email}
        self._call("PATCH", "/v4/appointment/{id}/guest", ids={"id": appointment_id}, json=body)

    def update_note(self, appointment_id: str, note: str) -> None:
        """``PATCH /v4/appointment/{id}/notes``: replaces the host's note; may answer empty. [mcp]"""
        self._call("PATCH", "/v4/appointment/{id}/notes", ids={"id": appointment_id}, json={"note": note})

    # Provisional bookings

    def list_provisional_bookings(
        self,
        *,
        page: int = 0,
        page_size: int = 100,
        status: str = "",
        user_id: str = "",
        meeting_type_id: str = "",
    ) -> ProvisionalPage:
        """``GET /v4/provisional-booking/paginated``: bookings that wait, or have waited, for a yes. [ref]

        ``status`` is one of pending, confirmed, expired, declined_by_host.
        """
        query = {
            "page": page,
            "pageSize": page_size,
            "status": status,
            "userId": user_id,
            "meetingTypeId": meeting_type_id,
        }
        answer = self._get("/v4/provisional-booking/paginated", query=query)
        return _read(answer, payloads.parse_provisional_page)

    def decline_provisional_booking(self, provisional_id: str, *, reason: str = "") -> None:
        """``POST /v4/provisional-booking/{id}/decline``, as its host; no body is promised. [ref]"""
        self._call(
            "POST",
            "/v4/provisional-booking/{id}/decline",
            ids={"id": provisional_id},
            json={"reason": reason} if reason else {},
        )

    # Webhook endpoints; they live at the root of the host

    def list_webhooks(self) -> tuple[WebhookDocument, ...]:
        """``GET /webhooks``: every endpoint of the company. [docs, mcp]"""
        return _read(self._get("/webhooks"), payloads.parse_webhooks)

    def create_webhook(
        self, endpoint: str, event_types: Sequence[str], *, description: str = ""
    ) -> WebhookDocument:
        """``POST /webhooks``; ``WebhookLimitReached`` for a seventh. [docs, mcp]"""
        body = {"endpoint": endpoint, "eventTypes": list(event_types), "description": description}
        return _read(self._call("POST", "/webhooks", json=body), payloads.parse_webhook)

    def update_webhook(
        self,
        webhook_id: str,
        *,
        endpoint: str = "",
        event_types: Sequence[str] | None = None,
        description: str | None = None,
    ) -> WebhookDocument | None:
        """``PATCH /webhooks/{id}``: ``event_types`` replaces the former ones; may answer empty. [docs]"""
        body: dict[str, Any] = {"endpoint": endpoint} if endpoint else {}
        if event_types is not None:
            body["eventTypes"] = list(event_types)
        if description is not None:
            body["description"] = description
        answer = self._call("PATCH", "/webhooks/{id}", ids={"id": webhook_id}, json=body)
        return _read_if_told(answer, payloads.parse_webhook)

    def delete_webhook(self, webhook_id: str) -> None:
        """``DELETE /webhooks/{id}``: answers empty; ``NotFound`` if it is gone. [docs]"""
        self._call("DELETE", "/webhooks/{id}", ids={"id": webhook_id})

    # As the attendee: the appointment's secret is the credential, no other is sent

    @sensitive_variables()
    def cancel_with_secret(self, appointment_id: str, secret: str, *, reason: str = "") -> None:
        """``POST /booking/confirm/cancel/{id}/{secret}``: the body of the answer says nothing. [seed]

        A wrong secret is refused with any of 400, 401, 403, 404.
        """
        self._call(
            "POST",
            "/booking/confirm/cancel/{id}/{secret}",
            ids={"id": appointment_id, "secret": secret},
            json={"cancellationReason": reason} if reason else {},
            with_credential=False,
        )

    @sensitive_variables()
    def reschedule_with_secret(self, appointment_id: str, secret: str, start: datetime) -> RescheduleReply:
        """``POST /booking/confirm/reschedule/``: the id and a secret that may be new. [seed]"""
        answer = self._call(
            "POST",
            "/booking/confirm/reschedule/",
            json={"appointmentId": appointment_id, "secret": secret, "start": build_instant(start)},
            with_credential=False,
        )
        return _read(answer, payloads.parse_reschedule_reply)

    # How each of them is sent

    def _get(
        self,
        route: str,
        *,
        ids: Mapping[str, str] | None = None,
        query: Mapping[str, object] | None = None,
    ) -> Answer:
        return self._call("GET", route, ids=ids, query=query)

    @sensitive_variables()
    def _call(
        self,
        method: str,
        route: str,
        *,
        ids: Mapping[str, str] | None = None,
        query: Mapping[str, object] | None = None,
        json: Mapping[str, Any] | None = None,
        with_credential: bool = True,
    ) -> Answer:
        """Send within budget and circuit, and let both learn from the ending."""
        is_probe = self._check(method, route)
        try:
            answer = self.transport.send(
                method,
                route,
                path_params=ids,
                query=query,
                json=json,
                with_credential=with_credential,
                admit=lambda: self._admit(method, route),
            )
        except RemoteError as error:
            self._learn(error, is_probe=is_probe, with_credential=with_credential)
            raise
        self.clock_skew = answer.skew
        if is_probe and self.circuit:
            self.circuit.succeeded()
        return answer

    def check_circuit(self) -> None:
        """Raise ``CircuitOpen`` while writes are held back; at the end of their wait a read goes first."""
        if self.circuit is None:
            return
        if self.circuit.is_half_open:
            with contextlib.suppress(RemoteError):
                self.get_current_user()
        self.circuit.check("POST")

    def _check(self, method: str, route: str) -> bool:
        try:
            if not is_read(method):
                self.check_circuit()
            return self.circuit.check(method) if self.circuit else False
        except CircuitOpen as error:
            raise _placed(error, method, route) from None

    def _admit(self, method: str, route: str) -> None:
        if self.budget is None:
            return
        try:
            self.budget.take(self.priority if is_read(method) else "write")
        except RateLimitReached as error:
            raise _placed(error, method, route) from None

    def _learn(self, error: RemoteError, *, is_probe: bool, with_credential: bool) -> None:
        """A 401 on a route that sends no credential is about a secret, and says nothing of the key."""
        if isinstance(error, RateLimited) and self.budget:
            self.budget.block(error.retry_after if error.retry_after is not None else _draw_block())
        if self.circuit is None or isinstance(error, RateLimitReached):
            return
        if isinstance(error, CredentialRefused) and with_credential:
            self.circuit.refused()
        elif _is_failure(error):
            self.circuit.failed(is_probe=is_probe)
        elif is_probe:
            self.circuit.succeeded()


def _is_failure(error: RemoteError) -> bool:
    """Not reached, or failed inside; a no, a 429 and an odd document are signs of life."""
    if not isinstance(error, Unreachable | OutcomeUnknown) or isinstance(error, UnreadableReply):
        return False
    return error.status is None or error.status >= HTTPStatus.INTERNAL_SERVER_ERROR


def _draw_block() -> float:
    return random.uniform(0.0, BLOCK_SECONDS)  # noqa: S311 - spreads load, guards nothing


def _placed(error: T, method: str, route: str) -> T:
    error.method, error.route = method, route  # type: ignore[attr-defined]
    return error


def _read(answer: Answer, parse: Callable[[object], T]) -> T:
    """The document, or ``UnreadableReply`` that says which call it answered."""
    document = answer.read_json()
    try:
        return parse(document)
    except UnreadableReply as error:
        unreadable = answer.unreadable(error.message)
    except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError, RecursionError):
        unreadable = answer.unreadable("answered in a shape we do not know")
    raise unreadable


def _read_if_told(answer: Answer, parse: Callable[[object], T]) -> T | None:
    """The same where a 2xx is the whole answer: None if the body is empty or is another document."""
    if answer.is_empty:
        return None
    answer.read_json()
    try:
        return _read(answer, parse)
    except UnreadableReply:
        return None
