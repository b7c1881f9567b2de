"""A client for a connection and a lane, and what its calls have shown about the connection."""

from __future__ import annotations

from typing import Any

from django.core.cache import caches

from django_meetergo.conf import get_connection_settings, get_settings
from django_meetergo.exceptions import CircuitOpen, CredentialRefused, RateLimited, RateLimitReached
from django_meetergo.models import Connection
from django_meetergo.remote.circuit_breaker import CircuitBreaker
from django_meetergo.remote.client import MeetergoClient
from django_meetergo.remote.rate_limit import RateLimiter
from django_meetergo.remote.transport import Credential, Transport

#: Seconds a call that somebody waits for may wait for its share of the request limit.
PERMIT_WAIT_SECONDS = 3.0
#: Seconds by which two readings of a clock differ that nobody touched: a Date header knows no fractions.
CLOCK_NOISE_SECONDS = 2.0

#: The service is not called at the moment, whatever the request.
CALLS_SUSPENDED = (RateLimitReached, CircuitOpen, CredentialRefused, RateLimited)


def build_client(connection: str, priority: str) -> MeetergoClient:
    """A client that acts with the connection's credential.

    ``lane`` says how far it may eat into the request budget: ``write`` and ``reread`` always, then
    ``view``, ``planned`` and ``sync``. Somebody waits for the first and the third, so those give up sooner.
    Raises ImproperlyConfigured when the connection has no credential.
    """
    settings = get_settings()
    given = get_connection_settings(connection)
    credential = Credential(key=given.api_key, user_id=given.user_id)
    cache = caches[settings.CACHE]
    somebody_waits = priority in {"write", "view"}
    timeout = settings.TIMEOUT if somebody_waits else settings.TIMEOUT_BACKGROUND
    patience = PERMIT_WAIT_SECONDS if somebody_waits else 0
    return MeetergoClient(
        Transport(credential=credential, base_url=settings.BASE_URL, timeout=timeout),
        budget=RateLimiter(credential.fingerprint, settings.REQUESTS_PER_MINUTE, cache, patience=patience),
        circuit=CircuitBreaker(credential.fingerprint, cache),
        priority=priority,
    )


def record_contact(*, connection: str, client: MeetergoClient) -> None:
    """Write down how far the clocks are apart and since when the credential is refused, if that is news.

    For whoever calls in the background: one SELECT, and a write only when something has changed.
    """
    refused = client.circuit.refused_since if client.circuit else None
    skew = client.clock_skew
    if skew is None and refused is None:
        return  # nobody was called, or nobody answered
    account, _created = Connection.objects.get_or_create(connection=connection)
    learnt: dict[str, Any] = {}
    if skew is not None and (
        account.clock_skew is None or abs(skew - account.clock_skew) > CLOCK_NOISE_SECONDS
    ):
        learnt["clock_skew"] = round(skew, 1)
    # A shared cache may have been emptied since: the first refusal that was written down stays.
    since = (account.refused_since or refused) if refused else None
    if since != account.refused_since:
        learnt["refused_since"] = since
    if learnt:
        Connection.objects.filter(pk=account.pk).update(**learnt)
