"""Middleware: the strictest Content Security Policy that the pages support, and CORS headers."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

#: For pages with scripts that parse strings, such as those of Django's admin.
POLICY_WITHOUT_TRUSTED_TYPES = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'"
)
POLICY = f"{POLICY_WITHOUT_TRUSTED_TYPES}; require-trusted-types-for 'script'; trusted-types 'none'"


class PolicyMiddleware:
    #: A site whose other scripts need more has another one.
    policy = POLICY

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        policy = POLICY_WITHOUT_TRUSTED_TYPES if request.path.startswith("/admin/") else self.policy
        response.headers.setdefault("Content-Security-Policy", policy)
        return response


class CorsMiddleware:
    """The CORS headers that the documentation requires for a front end served from ``origin``."""

    origin = ""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not self.origin:
            return self.get_response(request)
        is_preflight = request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers
        response = HttpResponse() if is_preflight else self.get_response(request)
        response["Access-Control-Allow-Origin"] = self.origin
        response["Access-Control-Allow-Headers"] = "content-type, idempotency-key"
        response["Access-Control-Expose-Headers"] = (
            "Location, Retry-After, Idempotency-Key, ETag, "
            "RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset"
        )
        return response
