"""MeetergoClient: one method per endpoint, in the order of meetergo's reference.

Every method may raise a ``RemoteError``. A write raises ``OutcomeUnknown`` if it may have been carried out.
Tags name the source of a route: [ref] the generated reference, [docs] the guides, [mcp] meetergo's own
client, [seed] the booking guide.
"""

from __future__ import annotations

import contextlib
import logging
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from http import HTTPStatus
from typing import Any, TypeVar

from django.views.decorators.debug import sensitive_variables

from django_meetergo.exceptions import (
    CircuitOpen,
    CredentialRefused,
    InvalidRequest,
    OutcomeUnknown,
    RateLimited,
    RateLimitReached,
    RemoteError,
    Unreachable,
    UnreadableReply,
)
from django_meetergo.remote import payloads
from django_meetergo.remote.answer import Answer
from django_meetergo.remote.circuit_breaker import CircuitBreaker, digest_target
from django_meetergo.remote.errors import is_read
from django_meetergo.remote.payloads import (
    AppointmentDocument,
    Availability,
    BookingConfirmed,
    BookingPayload,
    BookingProvisional,
    DataFieldDocument,
    HandoffHost,
    HostDocument,
    ItemList,
    MeetingTypeDocument,
    ProvisionalDocument,
    RescheduleReply,
    WebhookDocument,
    build_booking,
    build_instant,
)
from django_meetergo.remote.payloads.reading import PARSE_ERRORS
from django_meetergo.remote.rate_limit import RateLimiter
from django_meetergo.remote.transport import Transport
from django_meetergo.texts import Secret

T = TypeVar("T")

logger = logging.getLogger("django_meetergo.remote")

#: After a 429 without ``Retry-After``, calls pause for a random time up to this.
MAX_UNSTATED_BLOCK_SECONDS = 4.0


class MeetergoClient:
    """Call meetergo with Python values. Methods return frozen dataclasses or raise a ``RemoteError``.

    ``priority`` is a key of ``rate_limit.RESERVED_PERMITS`` and applies to reads; writes always come first.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        rate_limiter: RateLimiter | None = None,
        circuit: CircuitBreaker | None = None,
        priority: str = "view",
    ) -> None:
        self.transport = transport
        self.rate_limiter = rate_limiter
        self.circuit = circuit
        self.priority = priority
        #: How many seconds meetergo's clock was ahead of ours in the last 2xx answer to this client.
        self.clock_skew: float | None = None

    def with_priority(self, priority: str) -> MeetergoClient:
        """Return a client for the same service whose reads have another priority."""
        return MeetergoClient(
            self.transport, rate_limiter=self.rate_limiter, circuit=self.circuit, priority=priority
        )

    def shorten_timeout(self, seconds: float) -> None:
        """Let no call of this client take longer than this, whatever its priority."""
        self.transport.timeout = min(self.transport.timeout, seconds)

    def for_user(self, user_id: str) -> MeetergoClient:
        """Return a client that acts for another user of the company, which needs a platform key."""
        transport = Transport(
            credential=replace(self.transport.credential, user_id=user_id),
            base_url=self.transport.root,
            timeout=self.transport.timeout,
        )
        return MeetergoClient(
            transport, rate_limiter=self.rate_limiter, circuit=self.circuit, priority=self.priority
        )

    def __repr__(self) -> str:
        return f"MeetergoClient({self.transport!r}, priority={self.priority!r})"

    # Hosts and meeting types

    def get_current_user(self) -> HostDocument:
        """``GET /v4/user/me``: the user of this credential. [ref]"""
        return _parse(self._get("/v4/user/me"), payloads.parse_host)

    def list_users(self, *, limit: int = 100, offset: int = 0) -> ItemList[HostDocument]:
        """``GET /v4/user``: the company's users; needs an admin credential. [ref]"""
        answer = self._get("/v4/user", query={"limit": limit, "offset": offset})
        return _parse(answer, payloads.parse_host_page)

    def list_meeting_types(self) -> ItemList[MeetingTypeDocument]:
        """``GET /v4/meeting-type``: all of the acting user's meeting types. [ref, mcp]"""
        return _parse(self._get("/v4/meeting-type"), payloads.parse_meeting_types)

    def get_meeting_type(self, meeting_type_id: str) -> MeetingTypeDocument:
        """``GET /v4/meeting-type/{id}``. meetergo has answered a malformed id with 500. [ref]"""
        answer = self._get("/v4/meeting-type/{id}", ids={"id": meeting_type_id})
        return _parse(answer, payloads.parse_meeting_type)

    def get_queue(self, queue_id: str) -> tuple[HostDocument, ...]:
        """``GET /v4/queue/{id}``: the hosts of a round-robin meeting type. [docs]"""
        return _parse(self._get("/v4/queue/{id}", ids={"id": queue_id}), payloads.parse_queue)

    def create_one_time_link(self, meeting_type_id: str) -> str:
        """``POST /v4/one-time-booking-link/create/{id}``: the address of a new link. [mcp]"""
        route = "/v4/one-time-booking-link/create/{id}"
        return _parse(self._call("POST", route, ids={"id": meeting_type_id}), payloads.parse_one_time_link)

    def list_data_fields(self, *, limit: int = 100, offset: int = 0) -> ItemList[DataFieldDocument]:
        """``GET /v4/data-field``: the questions that the company's forms can ask. [mcp]"""
        answer = self._get("/v4/data-field", query={"limit": limit, "offset": offset})
        return _parse(answer, payloads.parse_data_fields)

    def count_calendars(self) -> int:
        """``GET /v4/calendar-connections/connections``: connected calendars of the acting user. [ref, mcp]"""
        return _parse(self._get("/v4/calendar-connections/connections"), payloads.parse_calendar_count)

    # Availability and bookings

    def get_booking_availability(
        self,
        meeting_type_id: str,
        start: date,
        end: date,
        *,
        host_ids: Sequence[str] = (),
        queue_id: str = "",
        calculation_method: str = "",
        duration: int | None = None,
        existing_appointment_id: str = "",
        refresh_cache: bool = False,
        troubleshoot: bool = False,
    ) -> Availability:
        """``GET /v4/booking-availability``: free starts between two instants or days. [ref, mcp]

        With a queue, meetergo may need the ids of its members too, and ``calculation_method`` says whether
        ``anyone`` or ``everyone`` must be free. Without one, hosts must all be free. ``MissingHost`` without
        hosts and queue. ``troubleshoot`` adds blocked starts with their reasons.
        """
        query = {
            "meetingTypeId": meeting_type_id,
            "start": start,
            "end": end,
            "hostIds": list(host_ids),
            "queueId": queue_id,
            "calculationMethod": calculation_method if queue_id else "",
            "timezone": "UTC",
            "meetingDuration": duration,
            "existingAppointmentId": existing_appointment_id,
            "refreshCache": refresh_cache or None,
            "troubleshoot": troubleshoot or None,
        }
        return _parse(self._get("/v4/booking-availability", query=query), payloads.parse_availability)

    @sensitive_variables()
    def create_booking(self, payload: BookingPayload) -> BookingConfirmed | BookingProvisional:
        """``POST /v4/booking``: book, or request a confirmation. Never sent twice. [ref, seed]

        ``SlotUnavailable``, ``InvalidDuration``, ``MissingHost`` or ``InvalidFields`` if refused.
        """
        answer = self._call("POST", "/v4/booking", json=build_booking(payload))
        return _parse(answer, payloads.parse_booking_reply)

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
    ) -> ItemList[AppointmentDocument]:
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
        return _parse(self._get("/v4/appointment/paginated", query=query), payloads.parse_appointments)

    def list_todays_appointments(self) -> ItemList[AppointmentDocument]:
        """``GET /v4/appointment/today``: a bare list. [ref]"""
        return _parse(self._get("/v4/appointment/today"), payloads.parse_appointments)

    def get_appointment(self, appointment_id: str) -> AppointmentDocument:
        """``GET /v4/appointment/{id}``: its current state, or ``NotFound``. [ref, seed]"""
        answer = self._get("/v4/appointment/{id}", ids={"id": appointment_id})
        return _parse(answer, payloads.parse_appointment)

    def cancel_appointment(
        self, appointment_id: str, *, reason: str = "", attendee_id: str = "", cancel_all: bool = False
    ) -> None:
        """``POST /v4/appointment/{id}/cancel``: the answer may be empty. [ref]

        In groups ``attendee_id`` removes one attendee and ``cancel_all`` cancels for all.
        """
        body = {"reason": reason, "attendeeId": attendee_id, "cancelAll": cancel_all}
        answer = self._call(
            "POST",
            "/v4/appointment/{id}/cancel",
            ids={"id": appointment_id},
            json={key: value for key, value in body.items() if value},
        )
        _require_json_or_nothing(answer)

    def reschedule_appointment(self, appointment_id: str, start: datetime) -> RescheduleReply:
        """``POST /v4/appointment/{id}/reschedule``: the moved appointment; ``SlotUnavailable``. [ref]"""
        answer = self._call(
            "POST",
            "/v4/appointment/{id}/reschedule",
            ids={"id": appointment_id},
            json={"start": build_instant(start)},
        )
        return _parse(answer, payloads.parse_reschedule_reply)

    def handoff_appointment(self, appointment_id: str, *, user_id: str) -> None:
        """``POST /v4/handoff/appointment``: give it to another host. ``SlotUnavailable``. [ref]

        What the answer holds is not documented, so read the appointment afterwards.
        """
        body = {"appointmentId": appointment_id, "userId": user_id}
        self._call("POST", "/v4/handoff/appointment", json=body)

    def list_handoff_hosts(self, appointment_id: str) -> ItemList[HandoffHost]:
        """``GET /v4/handoff/available-handoffs``: the other hosts, and whether they are free then. [ref]"""
        answer = self._get("/v4/handoff/available-handoffs", query={"appointmentId": appointment_id})
        return _parse(answer, payloads.parse_handoff_hosts)

    # Provisional bookings

    def list_provisional_bookings(
        self,
        *,
        page: int = 0,
        page_size: int = 100,
        status: str = "",
        user_id: str = "",
        meeting_type_id: str = "",
    ) -> ItemList[ProvisionalDocument]:
        """``GET /v4/provisional-booking/paginated``: bookings that need or needed a confirmation. [ref]

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
        return _parse(answer, payloads.parse_provisional_page)

    def decline_provisional_booking(self, provisional_id: str, *, reason: str = "") -> None:
        """``POST /v4/provisional-booking/{id}/decline``, as its host; the answer may be empty. [ref]"""
        self._call(
            "POST",
            "/v4/provisional-booking/{id}/decline",
            ids={"id": provisional_id},
            json={"reason": reason} if reason else {},
        )

    # Webhook endpoints; their routes have no ``/v4`` prefix

    def list_webhooks(self) -> ItemList[WebhookDocument]:
        """``GET /webhooks``: all webhook endpoints of the company. [docs, mcp]"""
        return _parse(self._get("/webhooks"), payloads.parse_webhooks)

    def create_webhook(
        self, endpoint: str, event_types: Sequence[str], *, description: str = ""
    ) -> WebhookDocument:
        """``POST /webhooks``. ``WebhookLimitReached`` for a seventh endpoint. [docs, mcp]"""
        body = {"endpoint": endpoint, "eventTypes": list(event_types), "description": description}
        return _parse(self._call("POST", "/webhooks", json=body), payloads.parse_webhook)

    def update_webhook(self, webhook_id: str, *, endpoint: str, event_types: Sequence[str]) -> None:
        """``PATCH /webhooks/{id}``: ``event_types`` replaces the old ones; the answer may be empty. [docs]"""
        body = {"endpoint": endpoint, "eventTypes": list(event_types)}
        _require_json_or_nothing(self._call("PATCH", "/webhooks/{id}", ids={"id": webhook_id}, json=body))

    def delete_webhook(self, webhook_id: str) -> None:
        """``DELETE /webhooks/{id}``: the answer is empty; ``NotFound`` if there is none. [docs]"""
        self._call("DELETE", "/webhooks/{id}", ids={"id": webhook_id})

    # As the attendee: the appointment's secret authorizes the call, the credential is not sent

    def cancel_with_secret(self, appointment_id: str, secret: str, *, reason: str = "") -> None:
        """``POST /booking/confirm/cancel/{id}/{secret}``: the answer has no usable body. [seed]

        meetergo refuses a wrong secret with 400, 401, 403 or 404.
        """
        secret = Secret(secret)  # a decorator would keep the plain text in its own frame
        self._call(
            "POST",
            "/booking/confirm/cancel/{id}/{secret}",
            ids={"id": appointment_id, "secret": secret},
            json={"cancellationReason": reason} if reason else {},
            with_credential=False,
        )

    def reschedule_with_secret(self, appointment_id: str, secret: str, start: datetime) -> RescheduleReply:
        """``POST /booking/confirm/reschedule/``: the id, and a secret that may be new. [seed]"""
        secret = Secret(secret)
        answer = self._call(
            "POST",
            "/booking/confirm/reschedule/",
            json={"appointmentId": appointment_id, "secret": secret, "start": build_instant(start)},
            with_credential=False,
        )
        return _parse(answer, payloads.parse_reschedule_reply)

    # Sending

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
        """Send if the rate limiter and the circuit breaker allow it, and report the outcome to both."""
        is_probe = self._check_circuit(method, route)
        target = digest_target(method, route, ids, query, json)
        attempts = 0

        def before_attempt() -> None:
            nonlocal attempts
            self._acquire_permit(method, route)
            attempts += 1

        try:
            answer = self.transport.send(
                method,
                route,
                path_params=ids,
                query=query,
                json=json,
                with_credential=with_credential,
                before_attempt=before_attempt,
            )
        except (InvalidRequest, RateLimitReached):
            if is_probe and self.circuit and not attempts:
                self.circuit.release_probe()
            raise
        except RemoteError as error:
            self._report_error(error, target, is_probe=is_probe, with_credential=with_credential)
            raise
        self.clock_skew = answer.clock_skew
        if self.circuit:
            self.circuit.record_success(f"{method} {route}", target, is_probe=is_probe)
        return answer

    def check_circuit(self) -> None:
        """Raise ``CircuitOpen`` while no writes are sent. After the pause, test the service with a read."""
        if self.circuit is None:
            return
        if self.circuit.is_half_open:
            with contextlib.suppress(RemoteError):
                self.get_current_user()
        self.circuit.check("POST")

    def _check_circuit(self, method: str, route: str) -> bool:
        try:
            if not is_read(method):
                self.check_circuit()
            return self.circuit.check(method) if self.circuit else False
        except CircuitOpen as error:
            raise _add_call(error, method, route) from None

    def _acquire_permit(self, method: str, route: str) -> None:
        if self.rate_limiter is None:
            return
        try:
            self.rate_limiter.acquire(self.priority if is_read(method) else "write")
        except RateLimitReached as error:
            raise _add_call(error, method, route) from None

    def _report_error(
        self, error: RemoteError, target: str, *, is_probe: bool, with_credential: bool
    ) -> None:
        """Report a failure. A 401 on a route that sends no credential is about a secret, not the key."""
        if isinstance(error, RateLimited) and self.rate_limiter:
            pause = error.retry_after
            if pause is None:
                pause = random.uniform(0.0, MAX_UNSTATED_BLOCK_SECONDS)  # noqa: S311 - not for security
            self.rate_limiter.block(pause)
        if self.circuit is None:
            return
        route = f"{error.method} {error.route}"
        if isinstance(error, CredentialRefused) and with_credential:
            self.circuit.record_refusal()
        elif _is_failure(error):
            self.circuit.record_failure(route, target, is_probe=is_probe)
        else:
            self.circuit.record_success(route, target, is_probe=is_probe)


def _is_failure(error: RemoteError) -> bool:
    """Whether meetergo could not be reached or failed. Refusals, a 429 and odd documents are not failures."""
    if not isinstance(error, Unreachable | OutcomeUnknown) or isinstance(error, UnreadableReply):
        return False
    return error.status is None or error.status >= HTTPStatus.INTERNAL_SERVER_ERROR


def _add_call(error: RemoteError, method: str, route: str) -> RemoteError:
    error.method, error.route = method, route
    return error


def _parse(answer: Answer, parse: Callable[[object], T]) -> T:
    """Parse the body of an answer. Raise ``UnreadableReply``, which names the call."""
    try:
        found = parse(answer.read_json())
    except UnreadableReply as error:
        unreadable = answer.unreadable(error.message)
    except PARSE_ERRORS:
        unreadable = answer.unreadable("answered with a document of unknown shape")
    else:
        for item in getattr(found, "skipped", ()):
            logger.warning("%s %s: skipped %s", answer.method, answer.route, item)
        return found
    raise unreadable


def _require_json_or_nothing(answer: Answer) -> None:
    """Raise ``UnreadableReply`` for the answer of somebody else, such as a page of a proxy."""
    if not answer.is_empty:
        answer.read_json()
