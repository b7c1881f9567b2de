"""A client for a connection and a lane, and what its calls have shown about the connection."""

from __future__ import annotations

from typing import Any

from django.core.cache import caches

from django_meetergo.conf import get_connection, get_settings
from django_meetergo.models import Account
from django_meetergo.remote.budget import Budget, Circuit
from django_meetergo.remote.client import MeetergoClient
from django_meetergo.remote.transport import Credential, Transport

#: Seconds a call that somebody waits for may wait for its share of the request limit.
PATIENCE = 3.0
#: Seconds by which two readings of a clock differ that nobody touched: a Date header knows no fractions.
NOISE = 2.0


def client_for(connection: str, lane: str) -> MeetergoClient:
    """A client that acts with the connection's credential.

    ``lane`` says how far it may eat into the request budget: ``write`` and ``reread`` always, then
    ``view``, ``planned`` and ``sync``. Somebody waits for the first and the third, so those give up sooner.
    Raises ImproperlyConfigured when the connection has no credential.
    """
    settings = get_settings()
    given = get_connection(connection)
    credential = Credential(key=given.api_key, user_id=given.user_id)
    cache = caches[settings.CACHE]
    somebody_waits = lane in {"write", "view"}
    timeout = settings.TIMEOUT if somebody_waits else settings.TIMEOUT_BACKGROUND
    patience = PATIENCE if somebody_waits else 0
    return MeetergoClient(
        Transport(credential=credential, base_url=settings.BASE_URL, timeout=timeout),
        budget=Budget(credential.fingerprint, settings.REQUESTS_PER_MINUTE, cache, patience=patience),
        circuit=Circuit(credential.fingerprint, cache),
        lane=lane,
    )


def record_contact(*, connection: str, client: MeetergoClient) -> None:
    """Write down how far the clocks are apart and since when the credential is refused, if that is news.

    For whoever calls in the background: one SELECT, and a write only when something has changed.
    """
    refused = client.circuit.refused_since if client.circuit else None
    skew = client.clock_skew
    if skew is None and refused is None:
        return  # nobody was called, or nobody answered
    account, _created = Account.objects.get_or_create(connection=connection)
    learnt: dict[str, Any] = {}
    if skew is not None and (account.clock_skew is None or abs(skew - account.clock_skew) > NOISE):
        learnt["clock_skew"] = round(skew, 1)
    # A shared cache may have been emptied since: the first refusal that was written down stays.
    since = (account.refused_since or refused) if refused else None
    if since != account.refused_since:
        learnt["refused_since"] = since
    if learnt:
        Account.objects.filter(pk=account.pk).update(**learnt)
