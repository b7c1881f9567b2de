"""Staff create one-time links: on request only, and logged."""

from __future__ import annotations

import re

import pytest
from django.contrib.admin.models import LogEntry

from django_meetergo.models import MeetingType
from tests.admin.conftest import get_text

pytestmark = pytest.mark.django_db

CREATE = "POST /v4/one-time-booking-link/create/{id}"
ADDRESS = re.compile(r'value="(https://cal\.meetergo\.com/1t/[^"]+)"')


def test_a_link_is_created_by_the_button_and_by_nothing_else(superuser, sandbox):
    """Neither the list, nor the page of the type, nor a GET of the action creates one."""
    row = sandbox.meeting_type()
    pages = [
        superuser.get("meetingtype_changelist"),
        superuser.get("meetingtype_change", row.pk),
        superuser.get("meetingtype_one_time_link", ids=row.pk),
    ]
    assert sandbox.count_requests(CREATE) == 0
    assert not any(ADDRESS.search(page.content.decode()) for page in pages)

    result = superuser.post("meetingtype_one_time_link", ids=row.pk, confirmed="1")

    assert len(ADDRESS.findall(result.content.decode())) == sandbox.count_requests(CREATE) == 1
    assert "no-store" in result["Cache-Control"]
    assert LogEntry.objects.filter(change_message__contains="one-time link").count() == 1


def test_an_error_of_the_service_is_reported_and_the_other_links_are_shown(superuser, sandbox):
    sandbox.fail_next(CREATE, "status_before", times=1)
    rows = list(MeetingType.objects.filter(enabled=True)[:2])

    result = superuser.run_action("meetingtype", "one_time_link", rows)

    assert len(ADDRESS.findall(result.content.decode())) == 1
    assert "not done." in get_text(result)


def test_how_many_hosts_are_needed_is_chosen_here_and_kept_by_a_sync(superuser, sandbox):
    """The method of availability is not on the wire."""
    row = sandbox.meeting_type()

    superuser.post("meetingtype_change", row.pk, calculation_method="everyone")
    sandbox.sync_directory()

    row.refresh_from_db()
    assert row.calculation_method == "everyone"
