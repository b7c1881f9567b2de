"""The whole flow of a booking with a generated client: ``python_flow.py ADDRESS STEP ARGUMENT…``.

With ``LOSE=1`` the answer to the first POST is lost, and the request is sent again.
"""

from __future__ import annotations

import json
import os
import sys
import time
import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

import httpx
from scheduling_client import Client
from scheduling_client.api.bookings import book as book_operation
from scheduling_client.api.bookings import check_booking, get_booking
from scheduling_client.api.manage import (
    cancel_own_appointment,
    list_free_times_to_move_to,
    reschedule_own_appointment,
)
from scheduling_client.api.meeting_types import get_meeting_type, list_free_times, list_meeting_types
from scheduling_client.models import (
    Availability,
    Booking,
    BookingClosedProblem,
    BookingRequest,
    BookingState,
    Cancel,
    InvalidFieldsProblem,
    Managed,
    MeetingTypeDetail,
    PaginatedMeetingTypeList,
    Reschedule,
    SlotTakenProblem,
)

T = TypeVar("T")


class LossyTransport(httpx.HTTPTransport):
    """A transport that loses the answers to the first POSTs, after the server has done what they ask."""

    to_lose = int(os.environ.get("LOSE", "0"))

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = super().handle_request(request)
        if request.method == "POST" and self.to_lose > 0:
            self.to_lose -= 1
            answer.close()
            return super().handle_request(request)
        return answer


client = Client(base_url=sys.argv[1], httpx_args={"transport": LossyTransport()})


def need(value: Any, kind: type[T]) -> T:
    """Return the answer if it is of the expected class."""
    assert isinstance(value, kind), value
    return value


def list_times(slug: str) -> list[str]:
    types = need(list_meeting_types.sync(client=client), PaginatedMeetingTypeList)
    assert slug in [one.slug for one in types.results]
    described = need(get_meeting_type.sync(slug, client=client), MeetingTypeDetail)
    assert "first_name" in [one.name for one in described.inputs if one.required]
    found = need(list_free_times.sync(slug, client=client, timezone="Europe/Berlin"), Availability)
    return [slot.start.isoformat() for slot in found.times]


def book(slug: str, start: str, email: str = "jane@example.com") -> dict[str, Any]:
    body = BookingRequest(
        meeting_type=slug,
        start=datetime.fromisoformat(start),
        first_name="Jane",
        last_name="Doe",
        email=email,
        timezone="Europe/Berlin",
    )
    answer = book_operation.sync_detailed(client=client, body=body, idempotency_key=str(uuid.uuid4()))
    found = answer.parsed
    if isinstance(found, Booking):
        return follow(found, answer.status_code)
    if isinstance(found, SlotTakenProblem):
        return {"taken": start, **book(slug, found.alternatives[0].start.isoformat(), email)}
    if isinstance(found, InvalidFieldsProblem):
        codes = {name: errors[0].code for name, errors in found.errors.additional_properties.items()}
        return {"status": found.status, "errors": codes}
    if isinstance(found, BookingClosedProblem):
        return {"status": found.status, "reason": found.reason}
    assert found is not None
    return {"status": found.status, "type": found.type_}


def follow(booking: Booking, first: int) -> dict[str, Any]:
    """Ask for the result until nothing will change, or somebody has to confirm."""
    while booking.is_open and booking.state != BookingState.PENDING:
        time.sleep(0.01 * need(booking.poll_after_seconds, int))
        booking = need(check_booking.sync(booking.token, client=client), Booking)
    return {
        "status": first,
        "state": booking.state,
        "start": booking.start.isoformat(),
        "token": booking.token,
        "manage": booking.manage.token if booking.manage else None,
    }


def show(token: str) -> dict[str, Any]:
    """Show a booking, after meetergo was asked: the attendee says that they have confirmed it."""
    found = need(get_booking.sync(token, client=client), Booking)
    return follow(need(check_booking.sync(found.token, client=client), Booking), 200)


def reschedule(token: str) -> dict[str, Any]:
    found = need(list_free_times_to_move_to.sync(token, client=client), Availability)
    body = Reschedule(start=found.times[3].start)
    return describe(reschedule_own_appointment.sync(token, client=client, body=body))


def cancel(token: str) -> dict[str, Any]:
    body = Cancel(reason="I am well again")
    return describe(cancel_own_appointment.sync(token, client=client, body=body))


def describe(answer: Any) -> dict[str, Any]:
    if not isinstance(answer, Managed):
        return {"status": answer.status, "type": answer.type_}
    return {
        "state": answer.state,
        "start": answer.start.isoformat(),
        "change": answer.change.state if answer.change else None,
    }


STEPS: dict[str, Callable[..., Any]] = {
    "times": list_times,
    "book": book,
    "show": show,
    "reschedule": reschedule,
    "cancel": cancel,
}

if __name__ == "__main__":
    sys.stdout.write(json.dumps(STEPS[sys.argv[2]](*sys.argv[3:])))
