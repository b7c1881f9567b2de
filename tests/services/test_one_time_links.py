"""Links on which one person can book once, at meetergo."""

from __future__ import annotations

import pytest

from django_meetergo.exceptions import (
    InvalidRequest,
    MeetingTypeUnavailable,
    OutcomeUnknown,
    UnreadableReply,
)
from django_meetergo.models import MeetingType
from django_meetergo.remote.payloads import parse_one_time_link
from django_meetergo.services import create_one_time_link

pytestmark = pytest.mark.django_db

CREATE = "POST /v4/one-time-booking-link/create/{id}"


def test_each_call_creates_another_link(meetergo_sandbox):
    meetergo_sandbox.sync_directory()

    first = create_one_time_link(meeting_type="intro-call")
    second = create_one_time_link(meeting_type=MeetingType.objects.get(slug="intro-call"))

    assert first.startswith("https://cal.meetergo.com/1t/")
    assert first != second
    assert meetergo_sandbox.count_requests(CREATE) == 2


def test_a_type_that_cannot_be_booked_gets_no_link(meetergo_sandbox):
    meetergo_sandbox.sync_directory()
    MeetingType.objects.filter(slug="intro-call").update(enabled=False)

    with pytest.raises(MeetingTypeUnavailable):
        create_one_time_link(meeting_type="intro-call")
    with pytest.raises(InvalidRequest):
        create_one_time_link(meeting_type="no-such-type")

    assert meetergo_sandbox.count_requests(CREATE) == 0


def test_a_lost_answer_is_not_sent_again(meetergo_sandbox):
    meetergo_sandbox.sync_directory()
    meetergo_sandbox.fail_next(CREATE, "drop_after")

    with pytest.raises(OutcomeUnknown):
        create_one_time_link(meeting_type="intro-call")

    assert meetergo_sandbox.count_requests(CREATE) == 1


@pytest.mark.parametrize("document", [{}, {"url": "javascript:alert(1)"}, {"id": "x", "url": None}, []])
def test_an_answer_without_an_address_is_refused(document):
    with pytest.raises(UnreadableReply):
        parse_one_time_link(document)
    assert parse_one_time_link({"link": "https://cal.meetergo.com/1t/x"}) == "https://cal.meetergo.com/1t/x"
