"""The letterbox: whatever knocks is noted, and nothing is believed."""

from __future__ import annotations

from django.db import DatabaseError, InterfaceError, transaction
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from django_meetergo.exceptions import InvalidRequest
from django_meetergo.services.webhooks.receive import MAX_BODY, find_connection, receive_delivery


@transaction.non_atomic_requests
@csrf_exempt
@require_POST
def receive(request: HttpRequest, token: str) -> HttpResponse:
    """200 once the knock is on paper; 503 when it could not be, so that meetergo knocks again."""
    connection = find_connection(token)
    if is_too_large(request):
        # Said to everybody: the answer must not tell who knows a token.
        return answer(413)
    if request.content_type != "application/json":
        return answer(404 if connection is None else 415)
    body = request.read(MAX_BODY + 1)
    if connection is None:
        return answer(404)
    try:
        receive_delivery(connection=connection, body=body, now=timezone.now())
    except InvalidRequest:
        return answer(400)
    except (DatabaseError, InterfaceError):
        return answer(503)
    return answer(200)


def is_too_large(request: HttpRequest) -> bool:
    length = request.META.get("CONTENT_LENGTH") or "0"
    return not length.isdecimal() or int(length[:12]) > MAX_BODY


def answer(status: int) -> HttpResponse:
    """The same empty object, whatever the status."""
    return HttpResponse(b"{}", status=status, content_type="application/json")
