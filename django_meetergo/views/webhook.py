"""The webhook endpoint: it stores that something changed; the appointment itself is read again later."""

from __future__ import annotations

import logging

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from django_meetergo.exceptions import InvalidRequest
from django_meetergo.services.webhooks.receive import MAX_BODY, find_connection, receive_delivery
from django_meetergo.transactions import DATABASE_ERRORS, is_database_away, outside_transactions

logger = logging.getLogger(__name__)


@outside_transactions
@login_not_required
@csrf_exempt
@require_POST
def receive(request: HttpRequest, token: str) -> HttpResponse:
    """Answer 200 once the delivery is stored.

    503: the database is away, so meetergo sends the delivery again. Other database errors are raised.

    404: unknown token; 413: more than ``MAX_BODY`` bytes; 415: not JSON; 400: not a delivery; 411: a chunked
    body that the web server does not decode.
    """
    connection = find_connection(token)
    if is_too_large(request):
        # The same answer for every token: it must not reveal which tokens exist.
        return build_response(413)
    if request.content_type != "application/json":
        return build_response(404 if connection is None else 415)
    body = read_body(request)
    if connection is None:
        return build_response(404)
    if body is None:
        return build_response(411)
    if len(body) > MAX_BODY:
        return build_response(413)
    try:
        receive_delivery(connection=connection, body=body, now=timezone.now())
    except InvalidRequest:
        return build_response(400)
    except DATABASE_ERRORS as error:
        if not is_database_away(error):
            raise
        # The path is not logged: it contains a token.
        logger.exception("The database is away; a webhook delivery is answered with 503.")
        return build_response(503)
    return build_response(200)


def is_too_large(request: HttpRequest) -> bool:
    length = request.META.get("CONTENT_LENGTH") or "0"
    return not length.isdecimal() or int(length[:12]) > MAX_BODY


def read_body(request: HttpRequest) -> bytes | None:
    """Return at most ``MAX_BODY`` + 1 bytes; None for a chunked body that cannot be read.

    Django takes a missing Content-Length for an empty body. A WSGI server that decodes chunked bodies says so
    with ``wsgi.input_terminated``, and its stream can be read to the end.
    """
    is_chunked = "chunked" in request.META.get("HTTP_TRANSFER_ENCODING", "").lower()
    if is_chunked and not request.META.get("CONTENT_LENGTH") and "wsgi.input" in request.META:
        if not request.META.get("wsgi.input_terminated"):
            return None
        chunked_body: bytes = request.META["wsgi.input"].read(MAX_BODY + 1)
        return chunked_body
    return request.read(MAX_BODY + 1)


def build_response(status: int) -> HttpResponse:
    """Return an empty JSON object, whatever the status."""
    return HttpResponse(b"{}", status=status, content_type="application/json")
