"""Times that open bookings of this site hold are offered to nobody else."""

from datetime import datetime, timedelta

import pytest
from django.test import Client

from django_meetergo.models import Booking
from tests.api.conftest import DETAILS, FrontEnd
from tests.pages.conftest import Visitor

pytestmark = pytest.mark.django_db(transaction=True)

HALF_HOUR = timedelta(minutes=30)
JOAN = {**DETAILS, "first_name": "Joan", "email": "joan@example.com", "channel": "connect"}


@pytest.fixture
def unclear(front_end, site):
    """A booking of half an hour whose answer was lost; meetergo still lists its time."""
    start = front_end.list_starts("consultation", duration=30)[0]
    site.fail_next("POST /v4/booking", "drop_before")
    site.fail_next("GET *", "status_before", status=500, times=4)
    assert front_end.book("consultation", start=start, duration=30, channel="connect").status_code == 202
    site.sandbox.faults.clear()
    booking = Booking.objects.get()
    assert booking.state == "unknown"
    return booking


def overlaps(booking, start, length=HALF_HOUR):
    moment = datetime.fromisoformat(start)
    return moment < booking.end and booking.start < moment + length


def test_free_times_leave_out_what_an_unclear_booking_holds(unclear, site):
    """In the API, on the pages and for another meeting type of the same host."""
    starts = FrontEnd().list_starts("consultation", duration=30)
    assert starts
    assert not any(overlaps(unclear, start) for start in starts)
    shown = Visitor(Client()).list_starts("consultation", duration="30")
    assert shown
    assert not any(overlaps(unclear, start) for start in shown)


def test_every_alternative_can_be_booked(unclear, site):
    """The first alternative is no second conflict."""
    answer = FrontEnd().book("consultation", start=unclear.start.isoformat(), duration=30, **JOAN)
    assert answer.status_code == 409
    alternatives = [slot["start"] for slot in answer.json()["alternatives"]]
    assert alternatives
    assert not any(overlaps(unclear, start) for start in alternatives)
    again = FrontEnd().book("consultation", start=alternatives[0], duration=30, **JOAN)
    assert again.status_code == 201, again.content
