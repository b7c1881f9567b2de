"""A client for a connection and a lane."""

from __future__ import annotations

from django.core.cache import caches

from django_meetergo.conf import get_connection, get_settings
from django_meetergo.remote.budget import Budget, Circuit
from django_meetergo.remote.client import MeetergoClient
from django_meetergo.remote.transport import Credential, Transport

#: Seconds a call that somebody waits for may wait for its share of the request limit.
PATIENCE = 3.0


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
