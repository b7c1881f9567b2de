"""Checks of addresses: of the service, of this site and of its visitors."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import SplitResult, urlsplit

from django.conf import settings as django_settings
from django.core.checks import CheckMessage
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.http.request import validate_host
from django.urls import NoReverseMatch
from django.utils.http import is_same_domain

from django_meetergo.checks.messages import make_error, make_warning
from django_meetergo.conf import SETTING_NAME, Settings, list_connection_names

MIN_TOKEN_LENGTH = 24
REAL_HOST = "api.meetergo.com"
#: Requests a minute that meetergo answers for one credential.
REMOTE_LIMIT = 100
HEADER_NAME = re.compile(r"[A-Za-z0-9_-]+")


def check_service_address(settings: Settings) -> Iterator[CheckMessage]:
    for place, address in list_service_addresses(settings).items():
        if not is_address(address):
            yield make_error(
                "E025",
                f"{place} is not the address of a service.",
                'Write it with its scheme: "https://api.meetergo.com", or remove it.',
            )
    if settings.REQUESTS_PER_MINUTE > REMOTE_LIMIT and not settings.SANDBOX:
        yield make_warning(
            "W018",
            f'{SETTING_NAME}["REQUESTS_PER_MINUTE"] is more than {REMOTE_LIMIT}.',
            f"meetergo refuses more than {REMOTE_LIMIT} requests a minute: use at most 90.",
        )


def list_service_addresses(settings: Settings) -> dict[str, str]:
    """Return every address that requests are sent to, by its place in the settings."""
    return {
        f'{SETTING_NAME}["BASE_URL"]': settings.BASE_URL,
        **{
            f'{SETTING_NAME}["CONNECTIONS"]["{name}"]["BASE_URL"]': given["BASE_URL"]
            for name, given in settings.CONNECTIONS.items()
            if "BASE_URL" in given
        },
    }


def check_site_address(settings: Settings) -> Iterator[CheckMessage]:
    is_real = not django_settings.DEBUG and not settings.SANDBOX
    parts = split_address(settings.SITE_URL)
    if not settings.SITE_URL:
        if is_real:
            yield make_warning(
                "W012",
                f'{SETTING_NAME}["SITE_URL"] is not set: meetergo cannot call this site, '
                "and mails have no links.",
                'Set it to the public address of the site, for example "https://www.example.com".',
            )
        return
    if not is_address(settings.SITE_URL) or parts.query or parts.fragment:
        yield make_error(
            "E024",
            f'{SETTING_NAME}["SITE_URL"] is not the address of a site.',
            'Write it with its scheme and without a query: "https://www.example.com".',
        )
        return
    if parts.scheme == "http" and not settings.SANDBOX:
        yield make_warning(
            "W002",
            f'{SETTING_NAME}["SITE_URL"] is plain http.',
            "meetergo calls https URLs only, and the webhook URL contains a secret.",
        )
    host = f"[{parts.hostname}]" if ":" in str(parts.hostname) else str(parts.hostname)
    if is_real and not validate_host(host, django_settings.ALLOWED_HOSTS):
        yield make_warning(
            "W013",
            f'The host of {SETTING_NAME}["SITE_URL"] is not among ALLOWED_HOSTS.',
            "Add it: Django answers 400 to the webhooks and to the links in mails.",
        )


def split_address(text: str) -> SplitResult:
    """Return the parts of a URL; those of an empty one if it cannot be parsed or contains white space."""
    try:
        parts = urlsplit(text)
        if parts.port != 0 and text == "".join(text.split()):
            return parts
    except ValueError:
        pass
    return urlsplit("")


def is_address(text: str) -> bool:
    """Return whether a text is an absolute http or https URL."""
    parts = split_address(text)
    return parts.scheme in {"http", "https"} and bool(parts.hostname)


def check_webhook_tokens(settings: Settings) -> Iterator[CheckMessage]:
    if any(len(token) < MIN_TOKEN_LENGTH for token in settings.WEBHOOK_TOKENS):
        yield make_warning(
            "W001",
            f'{SETTING_NAME}["WEBHOOK_TOKENS"] has a token shorter than {MIN_TOKEN_LENGTH} characters.',
            'Create one with python -c "import secrets; print(secrets.token_urlsafe(32))".',
        )
    if any(not token or "/" in token or "~" in token for token in settings.WEBHOOK_TOKENS):
        yield make_error(
            "E008",
            f'{SETTING_NAME}["WEBHOOK_TOKENS"] has a token that is empty or has a "/" or "~" in it.',
            "The token is part of a URL: use letters, digits, - and _.",
        )


def check_alert_addresses(settings: Settings) -> Iterator[CheckMessage]:
    for number, address in enumerate(settings.ALERT_EMAILS):
        try:
            validate_email(address)
        except ValidationError:
            yield make_error(
                "E026",
                f'{SETTING_NAME}["ALERT_EMAILS"][{number}] is not an e-mail address.',
                'Use plain addresses without names, for example ["desk@example.com"].',
            )


def check_embed_hosts(settings: Settings) -> Iterator[CheckMessage]:
    if any("/" in host for host in settings.EMBED_HOSTS):
        yield make_warning(
            "W004",
            f'{SETTING_NAME}["EMBED_HOSTS"] is not a list of host names.',
            'Use host names without "https://", for example ["cal.meetergo.com"].',
        )


def check_privacy_address(settings: Settings) -> Iterator[CheckMessage]:
    try:
        address = str(settings.PRIVACY_URL)
    except NoReverseMatch:  # of reverse_lazy()
        address = "?"
    if address and not (address.startswith("/") or is_address(address)):
        yield make_error(
            "E032",
            f'{SETTING_NAME}["PRIVACY_URL"] is not the address of a page.',
            'Write it with its scheme, "https://www.example.com/privacy/", or as a path: "/privacy/".',
        )


def check_visitor_address(settings: Settings) -> Iterator[CheckMessage]:
    if settings.CLIENT_IP_HEADER is not None and not HEADER_NAME.fullmatch(settings.CLIENT_IP_HEADER):
        yield make_error(
            "E028",
            f'{SETTING_NAME}["CLIENT_IP_HEADER"] is not the name of a header.',
            'Use the name alone, for example "X-Forwarded-For", or "REMOTE_ADDR" without a proxy.',
        )


def check_deployed_service(settings: Settings) -> Iterator[CheckMessage]:
    """For ``check --deploy``."""
    if settings.SANDBOX:
        yield make_error(
            "E010",
            f'{SETTING_NAME}["SANDBOX"] is on: no real appointment is booked.',
            "Remove it, and the sandbox's BASE_URL and API_KEY, from production.",
        )
    for place, address in list_service_addresses(settings).items():
        parts = split_address(address)
        if parts.scheme != "https" or parts.hostname != REAL_HOST:
            yield make_error(
                "E011",
                f"{place} is not https://{REAL_HOST}.",
                "API keys and personal data would be sent to that host.",
            )


def check_deployed_proxy(settings: Settings) -> Iterator[CheckMessage]:
    """For ``check --deploy``: what a site behind a proxy must say about it."""
    if settings.CLIENT_IP_HEADER is None:
        yield make_warning(
            "W014",
            f'{SETTING_NAME}["CLIENT_IP_HEADER"] is not set: network addresses are not limited.',
            'Name the header of your proxy, for example "X-Forwarded-For"; "REMOTE_ADDR" without a proxy.',
        )
    parts = split_address(settings.SITE_URL)
    origins = django_settings.CSRF_TRUSTED_ORIGINS
    is_trusted = f"{parts.scheme}://{parts.netloc}".lower() in origins or any(
        one.scheme == parts.scheme and is_same_domain(parts.netloc.lower(), one.netloc.lstrip("*"))
        for one in map(split_address, origins)
        if "*" in one.netloc
    )
    if parts.scheme == "https" and not django_settings.SECURE_PROXY_SSL_HEADER and not is_trusted:
        yield make_warning(
            "W015",
            "Behind a proxy that speaks https, Django takes requests for plain http and refuses every form.",
            "Set SECURE_PROXY_SSL_HEADER as your proxy needs it. If the server of Django itself knows that "
            "requests are https, silence this check.",
        )


def check_deployed_webhooks(settings: Settings) -> Iterator[CheckMessage]:
    """For ``check --deploy``: a site with a credential and no token refuses every webhook."""
    if list_connection_names() and not settings.WEBHOOK_TOKENS:
        yield make_warning(
            "W021",
            f'{SETTING_NAME}["WEBHOOK_TOKENS"] is empty: changes at meetergo are seen by the next sync only.',
            'Create one with python -c "import secrets; print(secrets.token_urlsafe(32))", and run '
            "meetergo_webhooks ensure. Without webhooks on purpose, silence this check.",
        )
