"""Middleware of the sites."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.utils.crypto import get_random_string

Handler = Callable[[HttpRequest], HttpResponse]


class RequireNonce:
    """A policy that allows scripts and styles of the site, and inline ones with the nonce of the request."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request.csp_nonce = nonce = get_random_string(16)  # type: ignore[attr-defined]
        response = self.get_response(request)
        response["Content-Security-Policy"] = (
            f"script-src 'self' 'nonce-{nonce}'; style-src 'self' 'nonce-{nonce}'"
        )
        return response


class RouteByHost:
    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request.urlconf = "tests.hosts.urls"
        return self.get_response(request)
