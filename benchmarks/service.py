"""A site in this process and a service that answers at once, so that only the app's own work is measured."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs
from uuid import uuid4

from django.conf import settings
from django.core.handlers.base import BaseHandler
from django.http import HttpResponseBase
from django.test import RequestFactory
from django.test.utils import override_settings

from django_meetergo.remote import transport
from django_meetergo.sandbox.app import Sandbox
from django_meetergo.testing.kit import SandboxKit
from django_meetergo.testing.plugin import use_sandbox
from django_meetergo.testing.sandbox_adapter import SandboxAdapter
from django_meetergo.testing.sandboxes import BASE_URL

Answer = tuple[str, list[tuple[str, str]], bytes]
Respond = Callable[..., HttpResponseBase]

#: Recorded free times by the end of the requested window.
responses: dict[str, Answer] = {}


@contextmanager
def recorded_service(*, booking_seconds: float = 0, **meetergo: Any) -> Iterator[SandboxKit]:
    """Run a sandbox whose free times are computed once and whose bookings are confirmed unseen."""
    sandbox = Sandbox(rate_limit=False)
    with override_settings():
        use_sandbox(settings, BASE_URL)
        settings.MEETERGO = {**settings.MEETERGO, "REQUESTS_PER_MINUTE": 90, **meetergo}  # as sites have it
        transport.ADAPTERS[BASE_URL] = SandboxAdapter(sandbox.wsgi)
        kit = SandboxKit(sandbox, base_url=BASE_URL)
        kit.sync_directory()
        transport.ADAPTERS[BASE_URL] = SandboxAdapter(record(sandbox.wsgi, booking_seconds))
        try:
            yield kit
        finally:
            responses.clear()
            del transport.ADAPTERS[BASE_URL]
            sandbox.close()


def record(wsgi: Any, booking_seconds: float) -> Any:
    def respond(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        status, headers, body = choose_answer(environ)
        start_response(status, headers)
        return [body]

    def choose_answer(environ: dict[str, Any]) -> Answer:
        if environ["REQUEST_METHOD"] == "POST" and environ["PATH_INFO"] == "/v4/booking":
            time.sleep(booking_seconds)
            return confirm()
        if environ["PATH_INFO"] != "/v4/booking-availability":
            return call(environ)
        end = parse_qs(environ["QUERY_STRING"])["end"][0]
        if end not in responses:
            responses[end] = call(environ)
        return responses[end]

    def call(environ: dict[str, Any]) -> Answer:
        started: list[Any] = []
        body = b"".join(wsgi(environ, lambda *head, **_: started.extend(head)))
        return started[0], started[1], body

    return respond


def confirm() -> Answer:
    body = json.dumps({"appointmentId": str(uuid4()), "secret": uuid4().hex}).encode()
    return "201 Created", [("Content-Type", "application/json")], body


def make_get() -> Respond:
    """Return a function that reads an address as a server does, without a test client."""
    handler, requests = BaseHandler(), RequestFactory()
    handler.load_middleware()

    def get(path: str, *args: Any) -> HttpResponseBase:
        response = handler.get_response(requests.get(path, *args))
        assert response.status_code == 200, response
        return response

    return get


def make_post() -> Respond:
    """Return a function that submits a form as a browser does: with its cookies and its CSRF token."""
    handler, requests = BaseHandler(), RequestFactory()
    handler.load_middleware()
    token = "t" * 32

    def post(path: str, data: dict[str, Any], cookies: dict[str, str]) -> HttpResponseBase:
        request = requests.post(path, {**data, "csrfmiddlewaretoken": token})
        request.COOKIES = {**cookies, "csrftoken": token}
        return handler.get_response(request)

    return post
