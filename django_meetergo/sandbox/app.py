"""The sandbox as a WSGI application."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

from django_meetergo.sandbox import control, dashboard, hosted
from django_meetergo.sandbox.authentication import authenticate
from django_meetergo.sandbox.endings import build_fault_response, describe_ending, end_after, end_before
from django_meetergo.sandbox.errors import Refused
from django_meetergo.sandbox.faults import ClaimedFaults, ConnectionClosed, Fault
from django_meetergo.sandbox.http import (
    Request,
    Response,
    error_response,
    foreign_host_response,
    read_request,
)
from django_meetergo.sandbox.oddities import make_odd
from django_meetergo.sandbox.records import User
from django_meetergo.sandbox.routes import ROUTES
from django_meetergo.sandbox.routing import Call, Route
from django_meetergo.sandbox.scenarios import occupy_requested_slot
from django_meetergo.sandbox.service import Service

logger = logging.getLogger(__name__)

#: The secret of an appointment in a path, whatever is asked there.
SECRET = re.compile(r"((?:booking/confirm/cancel|appointment)/[^/]+/)[^/]+")
#: When a request is carried out, and what carries it out.
Delayed = tuple[datetime, Callable[[], Response]]


class Sandbox(Service):
    """A small meetergo. Serve ``wsgi`` on a socket with ``server.start``, or call it in-process.

    In-process callers get ``faults.ConnectionClosed`` where a socket would be closed without a response.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        self._delayed: list[Delayed] = []
        self._timers: list[threading.Timer] = []
        super().__init__(*args, **options)

    def reset(self, **switches: Any) -> None:
        """Start again with the seeded clinic; requests that were to be applied later are dropped."""
        with self.state.lock:
            super().reset(**switches)
            self._drop_delayed()

    def close(self) -> None:
        """Stop the background threads."""
        self._drop_delayed()
        super().close()

    def wsgi(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        request = read_request(environ)
        response = self.respond(request)
        start_response(response.status_line, response.header_list(self.state.now()))
        if not response.has_body:
            return []
        if response.pieces is not None and request.method != "HEAD":
            return response.pieces
        return [response.body] if response.body else []

    def respond(self, request: Request) -> Response:
        """Return the response to a request. Raises ``ConnectionClosed`` if a fault leaves it without one."""
        try:
            return self._respond(request)
        except ConnectionClosed:
            raise
        except Exception:
            logger.exception("Handling %s failed; the response is a 500.", _hide_secret(request.path))
            return error_response(500, "Internal server error")

    def _respond(self, request: Request) -> Response:
        self.apply_due()
        path = request.path
        logged_path = _hide_secret(path)
        if not request.is_local:
            refusal = foreign_host_response()
            self._log_request(request, None, logged_path, refusal)
            return refusal
        if path == "/":
            return dashboard.respond(self, request)
        if path.startswith("/_sandbox/"):
            return control.respond(self, request)
        if (page := hosted.respond(self, request)) is not None:
            return page
        parts = tuple(path.removesuffix("/").lstrip("/").split("/")) if not path.startswith("//") else ()
        method = "GET" if request.method == "HEAD" else request.method
        for route in ROUTES:
            if (params := route.match(method, parts)) is not None:
                return self._serve(route, params, request, logged_path)
        unknown = error_response(404, f"Cannot {request.method} {logged_path}")
        self._log_request(request, None, logged_path, unknown)
        return unknown

    def apply_later(self, seconds: float, handle: Callable[[], Response]) -> None:
        """Carry out a request once ``seconds`` have passed on the sandbox's clock, without a response.

        If the clock is moved past that moment, the request is carried out before the next one.
        """
        delayed = (self.clock.now() + timedelta(seconds=seconds), handle)
        with self.state.lock:
            self._delayed.append(delayed)
        timer = threading.Timer(seconds, self._apply, [delayed])
        timer.daemon = True
        self._timers.append(timer)
        timer.start()

    def apply_due(self) -> None:
        """Carry out the delayed requests whose time has come, in order."""
        now = self.clock.now()
        for delayed in sorted(self._delayed, key=lambda one: one[0]):
            if delayed[0] <= now:
                self._apply(delayed)

    def _apply(self, delayed: Delayed) -> None:
        with self.state.lock:
            if delayed in self._delayed:
                self._delayed.remove(delayed)
                delayed[1]()

    def _drop_delayed(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers, self._delayed = [], []

    def _serve(self, route: Route, params: dict[str, str], request: Request, logged_path: str) -> Response:
        faults = self.faults.claim(route.name)
        try:
            response = self._respond_with_faults(route, params, request, faults)
        except ConnectionClosed as end:
            self._log_request(request, route, logged_path, None, faults=faults, end=end)
            raise
        self._log_request(request, route, logged_path, response, faults=faults)
        return response

    def _log_request(
        self,
        request: Request,
        route: Route | None,
        path: str,
        response: Response | None,
        *,
        faults: ClaimedFaults | None = None,
        end: ConnectionClosed | None = None,
    ) -> None:
        """Log a request with its response, or with how its connection ended."""
        facts: dict[str, Any] = {} if faults is None else {"fault": faults.names}
        if end is not None:
            facts |= {"ending": describe_ending(end), "applied": end.applied}
        if response is not None:
            facts["status"] = response.status
        template = None if route is None else route.template
        entry = self.request_log.write("request", method=request.method, route=template, path=path, **facts)
        self.calls.add(
            request,
            response,
            number=entry["n"],
            at=entry["at"],
            path=path,
            result=str(facts.get("status") or facts["ending"]),
            fault=facts.get("fault"),
        )

    def _respond_with_faults(
        self, route: Route, params: dict[str, str], request: Request, faults: ClaimedFaults
    ) -> Response:
        def handle() -> Response:
            return self._handle(route, params, request, faults)

        ending = faults.ending
        if ending is not None and ending.kind == "delayed_apply":
            return self._delay(ending, handle)
        if ending is not None and (early := end_before(ending)) is not None:
            return early
        response = handle()
        if (replay := faults.find("replay")) is not None:
            self.apply_later(replay.seconds, handle)
        if (odd := faults.find("odd_document")) is not None:
            make_odd(response, odd.oddity)
        if (skew := faults.find("skew_date")) is not None:
            response.date_offset = skew.seconds
        return response if ending is None else end_after(ending, response, request)

    def _delay(self, fault: Fault, handle: Callable[[], Response]) -> Response:
        self.apply_later(fault.seconds, handle)
        if fault.status is None:
            raise ConnectionClosed
        return build_fault_response(fault)

    def _handle(
        self, route: Route, params: dict[str, str], request: Request, faults: ClaimedFaults
    ) -> Response:
        """Check the credential and run the handler, under the state's lock."""
        with self.state.lock:
            try:
                user = None if route.is_open else authenticate(self.state, route, request, faults)
                self._spend_permit(request)
                if faults.find("occupy_slot") is not None:
                    occupy_requested_slot(self.state, request, params)
                return route.handler(self._build_call(request, params, user, faults))
            except Refused as refusal:
                return _build_refusal(refusal)
            except Exception:
                logger.exception("Handling %s failed; the response is a 500.", route.name)
                return error_response(500, "Internal server error")

    def _build_call(
        self, request: Request, params: dict[str, str], user: User | None, faults: ClaimedFaults
    ) -> Call:
        lag = faults.find("list_lag")
        return Call(
            request=request,
            params=params,
            state=self.state,
            acting_user=user,
            shows_answers=not self.settings.hide_answers and faults.find("hide_answers") is None,
            list_lag=self.settings.list_lag if lag is None else lag.seconds,
        )

    def _spend_permit(self, request: Request) -> None:
        if not self.settings.rate_limit:
            return
        wait = self.limit.spend(request.header("Authorization") or "", self.clock.now())
        if wait > 0:
            headers = {"Retry-After": str(int(wait) + 1)} if self.settings.retry_after else {}
            raise Refused(429, "Too Many Requests", headers=headers)


def _hide_secret(path: str) -> str:
    return SECRET.sub(r"\1***", path)


def _build_refusal(refusal: Refused) -> Response:
    extra = dict(refusal.extra)
    headers = extra.pop("headers", {})
    response = error_response(refusal.status, refusal.message, **extra)
    response.headers.update(headers)
    return response
