"""The sandbox as a whole: a WSGI application in front of a state."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

from django_meetergo.sandbox import control, dashboard, documents, seed
from django_meetergo.sandbox.bookings import Bookings
from django_meetergo.sandbox.clock import Clock
from django_meetergo.sandbox.deliveries import Deliveries
from django_meetergo.sandbox.faults import (
    ClaimedFaults,
    ConnectionClosed,
    ConnectionStalled,
    Fault,
    Faults,
    MalformedReply,
)
from django_meetergo.sandbox.handlers import ROUTES
from django_meetergo.sandbox.http import Answer, Request, answer_error, read_request
from django_meetergo.sandbox.limits import RateLimit
from django_meetergo.sandbox.records import Appointment, Refused, Settings, Token, User
from django_meetergo.sandbox.request_log import RequestLog
from django_meetergo.sandbox.routing import Call, Route

logger = logging.getLogger(__name__)

PROFILES: dict[str, dict[str, Any]] = {
    "seed": {},
    "strict": {"strict": True},
    "legacy": {"availability_shape": "slots", "legacy_envelope": True, "wrapped_meeting_types": True},
}
SHAPES = ("v4", "slots", "flat")
DRIP_PIECES = 20


def profile_switches(name: str) -> dict[str, Any]:
    """The switches a profile sets, those of the other profiles set back."""
    if name not in PROFILES:
        raise ValueError(f"There is no profile {name!r}; there are {', '.join(PROFILES)}.")
    plain = vars(Settings())
    return {switch: plain[switch] for others in PROFILES.values() for switch in others} | PROFILES[name]


class Sandbox:
    """A small meetergo. ``wsgi`` may be served over a socket or called in-process.

    In-process callers must expect ``faults.ConnectionClosed`` where a socket would be closed without a
    response.
    """

    def __init__(self, profile: str = "seed", *, rate_limit: bool = True, clock: Clock | None = None) -> None:
        self.clock = clock or Clock()
        self.request_log = RequestLog(self.clock)
        self.faults = Faults()
        self.limit = RateLimit()
        self.settings = Settings()
        self.deliveries = Deliveries(self.request_log)
        self.state = Bookings(self.clock, self.request_log, self.settings, self._announce)
        self._timers: list[threading.Timer] = []
        self.reset(profile=profile, rate_limit=rate_limit)

    def reset(self, **changes: Any) -> None:
        """Begin again with the seeded clinic. Profile and rate limit stay unless given; other switches go."""
        kept = {"profile": self.settings.profile, "rate_limit": self.settings.rate_limit, **changes}
        with self.state.lock:
            self.configure(**{**vars(Settings()), **profile_switches(kept["profile"]), **kept})
            self._stop_timers()
            self.clock.offset_seconds = 0.0
            self.faults.clear()
            self.limit.clear()
            self.deliveries.reset()
            self.request_log.clear()
            self.state.clear()
            seed.seed_state(self.state)

    def configure(self, **switches: Any) -> None:
        """Change switches; an unknown one is refused by name. A profile brings its own with it."""
        if "profile" in switches:
            switches = {**profile_switches(switches["profile"]), **switches}
        known = vars(self.settings)
        if unknown := sorted(set(switches) - set(known)):
            raise ValueError(f"There is no switch {', '.join(unknown)}; there are {', '.join(known)}.")
        if switches.get("availability_shape", "v4") not in SHAPES:
            raise ValueError(f"availability_shape must be one of {', '.join(SHAPES)}.")
        for name, value in switches.items():
            setattr(self.settings, name, value)

    def close(self) -> None:
        """Stop everything that runs in the background."""
        self._stop_timers()
        self.deliveries.close()

    def _stop_timers(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers = []

    def _announce(self, event: str, appointment: Appointment) -> None:
        kind = self.state.meeting_types[appointment.meeting_type_id]
        hosts = self.state.hosts_of(appointment.host_ids)
        for webhook in self.state.webhooks.values():
            if event in webhook.event_types:
                self.deliveries.enqueue(
                    webhook_id=webhook.id,
                    endpoint=webhook.endpoint,
                    event=event,
                    document=documents.event_document(event, appointment, kind, hosts),
                    envelope=self.settings.legacy_envelope,
                )

    # The door

    def wsgi(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        request = read_request(environ)
        answer = self.respond(request)
        start_response(answer.status_line, answer.header_list(self.clock.now()))
        if answer.pieces is not None and request.method != "HEAD":
            return answer.pieces
        return [answer.body] if answer.body else []

    def respond(self, request: Request) -> Answer:
        """The answer to a request; raises ``ConnectionClosed`` when there shall be none."""
        path = request.path
        if path == "/":
            return dashboard.show(self, request)
        if path.startswith("/_sandbox/"):
            return control.respond(self, request)
        parts = tuple(path.removesuffix("/").lstrip("/").split("/")) if not path.startswith("//") else ()
        for route in ROUTES:
            if (params := route.match(request.method, parts)) is not None:
                return self._serve(route, params, request)
        self._note(request, None, request.path, status=404)
        return answer_error(404, f"Cannot {request.method} {path}")

    def _serve(self, route: Route, params: dict[str, str], request: Request) -> Answer:
        struck = self.faults.claim(route.name)
        shown = request.path.replace(params["secret"], "***") if "secret" in params else request.path

        def note(**facts: Any) -> None:
            self._note(request, route, shown, fault=struck.names, **facts)

        try:
            answer = self._serve_badly(route, params, request, struck)
        except ConnectionClosed as end:
            note(ending=_ending(end), applied=end.applied)
            raise
        note(status=answer.status)
        return answer

    def _note(self, request: Request, route: Route | None, shown: str, **facts: Any) -> None:
        template = None if route is None else route.template
        self.request_log.write("request", method=request.method, route=template, path=shown, **facts)

    def _serve_badly(
        self, route: Route, params: dict[str, str], request: Request, struck: ClaimedFaults
    ) -> Answer:
        ending = struck.ending
        if ending is not None:
            early = self._end_before(ending, lambda: self._handle(route, params, request, struck))
            if early is not None:
                return early
        answer = self._handle(route, params, request, struck)
        if (skew := struck.find("skew_date")) is not None:
            answer.date_offset = skew.seconds
        return answer if ending is None else _end_after(ending, answer, request)

    def _end_before(self, fault: Fault, handle: Callable[[], Answer]) -> Answer | None:
        """Endings that come before anything is applied; None lets the request go on."""
        if fault.kind in {"drop_before", "reset_before"}:
            raise ConnectionClosed(reset=fault.kind == "reset_before")
        if fault.kind == "hang_before":
            raise ConnectionStalled(fault.seconds)
        if fault.kind == "status_before":
            return _fault_status(fault)
        if fault.kind == "slow":
            time.sleep(fault.seconds)
        if fault.kind == "delayed_apply":
            self._apply_later(fault.seconds, handle)
            if fault.status is None:
                raise ConnectionClosed
            return _fault_status(fault)
        return None

    def _apply_later(self, seconds: float, handle: Callable[[], Answer]) -> None:
        timer = threading.Timer(seconds, handle)
        timer.daemon = True
        self._timers.append(timer)
        timer.start()

    # The counter

    def _handle(
        self, route: Route, params: dict[str, str], request: Request, struck: ClaimedFaults
    ) -> Answer:
        """Check the credential and let the handler work, all under the one lock."""
        with self.state.lock:
            try:
                actor = None if route.is_open else self._admit(route, request, struck)
                self._spend_rate(request)
                if struck.find("occupy_slot") is not None:
                    control.occupy_requested_slot(self.state, request, params)
                return route.handler(self._call(request, params, actor, struck))
            except Refused as refusal:
                return self._refuse(refusal)
            except Exception:
                logger.exception("The sandbox failed on %s", route.name)
                return answer_error(500, "Internal server error")

    def _call(
        self, request: Request, params: dict[str, str], actor: User | None, struck: ClaimedFaults
    ) -> Call:
        lag = struck.find("list_lag")
        return Call(
            request=request,
            params=params,
            state=self.state,
            actor=actor,
            marked=not self.settings.hide_answers and struck.find("hide_answers") is None,
            list_lag=self.settings.list_lag if lag is None else lag.seconds,
        )

    def _refuse(self, refusal: Refused) -> Answer:
        extra = dict(refusal.extra)
        headers = extra.pop("headers", {})
        answer = answer_error(refusal.status, refusal.message, **extra)
        answer.headers.update(headers)
        return answer

    def _spend_rate(self, request: Request) -> None:
        if not self.settings.rate_limit:
            return
        wait = self.limit.spend(request.header("Authorization") or "", self.clock.now())
        if wait > 0:
            headers = {"Retry-After": str(int(wait) + 1)} if self.settings.retry_after else {}
            raise Refused(429, "Too Many Requests", headers=headers)

    def _admit(self, route: Route, request: Request, struck: ClaimedFaults) -> User:
        """The user a request acts as. Says 401, 403 or 400 to the others."""
        token = self._read_token(request, struck)
        if route.scope not in token.scopes:
            raise Refused(403, "Forbidden resource")
        named = request.header("x-meetergo-api-user-id")
        if not token.is_platform:
            if named is not None and named != token.user_id:
                raise Refused(403, "Forbidden resource")
            return self.state.users[token.user_id]
        if named is None:
            if route.needs_user:
                missing = "Missing required header 'x-meetergo-api-user-id' for API key authentication"
                raise Refused(400, missing)
            return self.state.users[token.user_id]
        if named not in self.state.users:
            raise Refused(403, "Forbidden resource")
        return self.state.users[named]

    def _read_token(self, request: Request, struck: ClaimedFaults) -> Token:
        header = request.header("Authorization")
        if header is None:
            raise Refused(401, "Missing authorization header")
        kind, _, value = header.partition(" ")
        token = self.state.tokens.get(value.strip())
        if kind.lower() != "bearer" or token is None:
            raise Refused(401, "Invalid API key")
        if struck.find("expire_key") is not None:
            token.expired = True
        if token.expired:
            raise Refused(401, "API key has expired")
        return token


def _ending(end: ConnectionClosed) -> str:
    if isinstance(end, MalformedReply):
        return "gibberish"
    if isinstance(end, ConnectionStalled):
        return "hung"
    return "reset" if end.reset else "dropped"


def _fault_status(fault: Fault) -> Answer:
    status = fault.status or 503
    answer = answer_error(status, "The sandbox was told to fail")
    if fault.body is not None:
        answer.body = fault.body.encode()
    if fault.retry_after is not None:
        answer.headers["Retry-After"] = fault.retry_after
    return answer


def _end_after(fault: Fault, answer: Answer, request: Request) -> Answer:
    """Endings that come after the request was carried out."""
    if fault.kind in {"drop_after", "reset_after"}:
        raise ConnectionClosed(applied=True, reset=fault.kind == "reset_after")
    if fault.kind == "hang_after":
        raise ConnectionStalled(fault.seconds, applied=True)
    if fault.kind == "bad_status_line":
        raise MalformedReply((fault.body or "NOT-HTTP ???\r\n\r\n").encode(), applied=True)
    if fault.kind == "status_after":
        return _fault_status(fault)
    return _spoil(fault, answer, request)


def _spoil(fault: Fault, answer: Answer, request: Request) -> Answer:
    """The right answer, sent the wrong way."""
    if fault.kind == "empty":
        answer.body = b""
    elif fault.kind == "garbage":
        answer.body = (
            fault.body or "<!doctype html><title>Gateway</title><p>Please come back later."
        ).encode()
        answer.content_type = "text/html; charset=utf-8"
    elif fault.kind == "oversized":
        answer.body += b" " * fault.size
    elif fault.kind == "cut":
        answer.declared_length = len(answer.body)
        answer.pieces = [answer.body[: len(answer.body) // 2]]
    elif fault.kind == "drip":
        _drip(fault, answer, request)
    return answer


def _drip(fault: Fault, answer: Answer, request: Request) -> None:
    if fault.part == "body":
        answer.pieces = _drops(answer.body, fault.seconds)
        return
    # Only the server can send headers slowly. Without one, the wait is all that is left of it.
    drip = request.environ.get("sandbox.drip_headers")
    if callable(drip):
        drip(fault.seconds)
    else:
        time.sleep(fault.seconds)


def _drops(body: bytes, seconds: float) -> Iterator[bytes]:
    size = max(1, -(-len(body) // DRIP_PIECES))
    for start in range(0, len(body), size):
        time.sleep(seconds / DRIP_PIECES)
        yield body[start : start + size]
