"""The Content-Security-Policy of the clinic's pages: everything comes from this site and goes to it."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

RULES = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "connect-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
}
#: Added on the page where a visitor opens meetergo's official embed.
EMBED = {
    "script-src": "'self' https://cdn.meetergo.com",
    "style-src": "'self' 'unsafe-inline'",
    "frame-src": "https://cal.meetergo.com",
}


def build_policy(**changes: str) -> str:
    rules = RULES | {name.replace("_", "-"): value for name, value in changes.items()}
    return "; ".join(f"{name} {value}" for name, value in rules.items())


POLICY = build_policy()
EMBED_POLICY = build_policy(**EMBED)


class ContentSecurityPolicy:
    """Send the policy with every page except the admin."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if not self.is_exempt(request, response):
            response.headers.setdefault("Content-Security-Policy", POLICY)
        return response

    def is_exempt(self, request: HttpRequest, response: HttpResponse) -> bool:
        """Return whether a response is sent without the policy: the admin and Django's debug page."""
        is_debug_page = settings.DEBUG and response.status_code >= 500
        return is_debug_page or request.path.startswith(reverse("admin:index"))
