"""Who a request acts as."""

from __future__ import annotations

from django_meetergo.sandbox.errors import Refused
from django_meetergo.sandbox.faults import ClaimedFaults
from django_meetergo.sandbox.http import Request
from django_meetergo.sandbox.records import Token, User
from django_meetergo.sandbox.routing import Route
from django_meetergo.sandbox.state import State

USER_HEADER = "x-meetergo-api-user-id"


def authenticate(state: State, route: Route, request: Request, faults: ClaimedFaults) -> User:
    """Return the user a request acts as. Raises ``Refused`` with 401, 403 or 400."""
    token = _read_token(state, request, faults)
    if route.scope not in token.scopes:
        raise Refused(403, "Forbidden resource")
    named = request.header(USER_HEADER)
    if not token.is_platform:
        # Also when it names the token's own user: the header belongs to platform keys.
        if named is not None:
            raise Refused(403, "Forbidden resource")
        return state.users[token.user_id]
    if named is None:
        if route.needs_user:
            raise Refused(400, f"Missing required header '{USER_HEADER}' for API key authentication")
        return state.users[token.user_id]
    if named not in state.users:
        raise Refused(403, "Forbidden resource")
    return state.users[named]


def _read_token(state: State, request: Request, faults: ClaimedFaults) -> Token:
    header = request.header("Authorization")
    if header is None:
        raise Refused(401, "Missing authorization header")
    kind, _, value = header.partition(" ")
    token = state.tokens.get(value.strip())
    if kind.lower() != "bearer" or token is None:
        raise Refused(401, "Invalid API key")
    expired = faults.find("expire_key")
    # A fault that lasts can be disarmed, which renews the key; one that is used up leaves it expired.
    if expired is not None and expired.times >= 0:
        token.expired = True
    if token.expired or expired is not None:
        raise Refused(401, "API key has expired")
    return token
