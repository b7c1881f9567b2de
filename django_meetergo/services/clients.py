"""Build clients for a connection, and record what their calls show about it."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ImproperlyConfigured

from django_meetergo.cache import cache
from django_meetergo.conf import ConnectionSettings, get_connection_settings, get_settings
from django_meetergo.exceptions import (
    CircuitOpen,
    CredentialRefused,
    InvalidRequest,
    RateLimited,
    RateLimitReached,
)
from django_meetergo.models import Connection
from django_meetergo.remote.circuit_breaker import CircuitBreaker
from django_meetergo.remote.client import MeetergoClient
from django_meetergo.remote.credential import Credential
from django_meetergo.remote.rate_limit import RateLimiter
from django_meetergo.remote.transport import Transport
from django_meetergo.transactions import is_in_transaction

#: How long a call that a person waits for may wait for a permit.
PERMIT_WAIT_SECONDS = 3.0
#: A smaller change of the clock skew is not recorded: ``Date`` headers have whole seconds.
MIN_SKEW_CHANGE_SECONDS = 2.0

#: No call to the service would succeed at the moment, whatever it asks.
CALLS_SUSPENDED = (RateLimitReached, CircuitOpen, CredentialRefused, RateLimited)


def build_client(connection: str, priority: str) -> MeetergoClient:
    """Return a client that uses the connection's credential.

    ``priority`` is a key of ``RESERVED_PERMITS``, in this order: ``write``, ``reread`` (a person waits for
    it), ``view``, ``deliveries``, ``planned``, ``sync``. A person also waits for ``write`` and ``view``:
    these wait for a permit, and have the shorter timeout. Raises ImproperlyConfigured when the connection has
    no credential.
    """
    settings = get_settings()
    given = get_connection_settings(connection)
    is_interactive = priority in {"write", "view"}
    timeout = settings.TIMEOUT if is_interactive else settings.TIMEOUT_BACKGROUND
    max_wait = PERMIT_WAIT_SECONDS if is_interactive else 0
    transport = Transport(credential=build_credential(given), base_url=given.base_url, timeout=timeout)
    return MeetergoClient(
        transport,
        rate_limiter=RateLimiter(
            transport.fingerprint, settings.REQUESTS_PER_MINUTE, cache, max_wait=max_wait
        ),
        circuit=CircuitBreaker(transport.fingerprint, cache),
        priority=priority,
    )


def find_client(connection: str, priority: str) -> MeetergoClient | None:
    """Return such a client; None when the settings have no connection of this name, or no credential."""
    try:
        return build_client(connection, priority)
    except ImproperlyConfigured:
        return None


def ensure_no_transaction() -> None:
    """Raise InvalidRequest inside a transaction, whose locks a call that writes would hold for seconds."""
    if is_in_transaction():
        raise InvalidRequest(
            "This call would send a request to meetergo inside a database transaction. Make it after the "
            "transaction, for example in transaction.on_commit, or pass send=False: the request is then "
            "stored with the transaction and sent after its commit.",
            field="send",
        )


def ensure_client_of(client: MeetergoClient, connection: str) -> None:
    """Raise InvalidRequest unless a client acts with the credential of a connection.

    Another credential would book or cancel at another company, or store what it reads under a wrong name.
    """
    given = get_connection_settings(connection)
    own = Transport(credential=build_credential(given), base_url=given.base_url)
    if client.transport.fingerprint != own.fingerprint or client.transport.credential != own.credential:
        raise InvalidRequest(
            f"The client has the credential of another connection than {connection!r}; pass a client of that "
            "connection, or none.",
            field="client",
        )


def build_credential(given: ConnectionSettings) -> Credential:
    return Credential(key=given.api_key, user_id=given.user_id)


def record_contact(*, connection: str, client: MeetergoClient) -> None:
    """Record the clock skew and since when the credential is refused, if they have changed.

    For background work: one SELECT, and a write only for a change.
    """
    refused = client.circuit.refused_since if client.circuit else None
    skew = client.clock_skew
    if skew is None and refused is None:
        return  # there was no call, or no answer
    row, _created = Connection.objects.get_or_create(connection=connection)
    changes: dict[str, Any] = {}
    if skew is not None and (row.clock_skew is None or abs(skew - row.clock_skew) > MIN_SKEW_CHANGE_SECONDS):
        changes["clock_skew"] = round(skew, 1)
    # The cache may have been emptied since: the first recorded refusal is kept.
    since = (row.refused_since or refused) if refused else None
    if since != row.refused_since:
        changes["refused_since"] = since
    if changes:
        Connection.objects.filter(pk=row.pk).update(**changes)
