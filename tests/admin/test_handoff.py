"""Staff hand over appointments, and a sick colleague's day, to other hosts."""

from __future__ import annotations

import re

import pytest
from django.contrib.admin.models import LogEntry
from django.utils import timezone

from django_meetergo.models import AppointmentChange, Host
from tests.admin.conftest import get_text

pytestmark = pytest.mark.django_db

HAND_OVER = "POST /v4/handoff/appointment"
ASK = "GET /v4/handoff/available-handoffs"


def find_host(name):
    return Host.objects.get(name__startswith=name)


def list_hosts(appointment):
    return [host.name.split()[0] for host in appointment.hosts.all()]


@pytest.fixture
def day(book):
    """Three appointments of Anna on one day."""
    return [book(number).attendee.appointment for number in (0, 2, 4)]


def test_the_page_shows_who_is_free_and_changes_nothing(superuser, sandbox, book):
    appointment = book().attendee.appointment
    sandbox.occupy_slot(appointment.start, "consultation")

    page = get_text(superuser.choose_action("appointment", "handoff", [appointment]))

    assert "Hand over 1 appointment?" in page
    assert re.search(r"Ben [^:]*: not free", page)
    assert re.search(r"Clara [^:]*: free", page)
    assert "Anna" not in page.partition("Colleague")[2]
    assert sandbox.count_requests(HAND_OVER) == AppointmentChange.objects.count() == 0


def test_a_day_is_handed_over_and_a_conflict_stays_and_is_listed(superuser, sandbox, day):
    """Ben is busy for one of three: two go to him, the third keeps its host, and the page says so."""
    sandbox.occupy_slot(day[1].start, "consultation")
    ben = find_host("Ben")

    chosen = get_text(superuser.choose_action("appointment", "handoff", day))
    result = superuser.run_action("appointment", "handoff", day, host=ben.pk)

    busy = timezone.localtime(day[1].start)
    assert re.search(rf"Ben [^:]*: free for 2 of 3, not free \w+ {busy:%H:%M}", chosen)
    assert get_text(result).count(f"Handed over to {ben.name}") == 2
    refusal = f"Refused: {ben.name} is not free at this time. The appointment keeps its host."
    assert refusal in get_text(result)
    assert [list_hosts(one) for one in day] == [["Ben"], ["Anna"], ["Ben"]]
    assert LogEntry.objects.filter(change_message__contains=ben.name).count() == 3


def test_the_day_of_a_host_is_handed_over_from_the_calendar(superuser, make_staff, sandbox, day):
    """The link names the appointments that are still to come; nobody without the permission sees it."""
    query = {"view": "day", "date": timezone.localdate(day[0].start).isoformat()}
    page = superuser.get("appointment_calendar", **query).content.decode()
    others = make_staff("view_appointment").get("appointment_calendar", **query).content.decode()

    links = re.findall(r'href="(/admin/meetergo/appointment/handoff/\?ids=[\d,]+)"', page)
    found = [link for link in links if set(re.findall(r"\d+", link)) >= {str(row.pk) for row in day}]
    assert len(found) == 1
    assert f"Hand over {found[0].count(',') + 1} appointments?" in get_text(superuser.client.get(found[0]))
    assert "handoff/?ids" not in others


def test_a_choice_is_needed_and_the_page_says_who_is_free_again(superuser, sandbox, book):
    appointment = book().attendee.appointment

    result = superuser.run_action("appointment", "handoff", [appointment])

    assert "Choose a colleague." in get_text(result)
    assert re.search(r"Clara [^:]*: free", get_text(result))
    assert AppointmentChange.objects.count() == 0


def test_a_host_of_another_connection_cannot_be_chosen(superuser, sandbox, book):
    appointment = book().attendee.appointment
    foreign = Host.objects.create(connection="other", remote_id="x", name="Zoe")

    result = superuser.run_action("appointment", "handoff", [appointment], host=foreign.pk)

    assert "This host cannot take these appointments." in get_text(result)
    assert AppointmentChange.objects.count() == 0


def test_without_an_answer_all_colleagues_are_offered(superuser, sandbox, book):
    """meetergo decides who is free, so a page that cannot ask still lets staff choose."""
    appointment = book().attendee.appointment
    sandbox.fail_next(ASK, "status_before", times=5)

    page = get_text(superuser.choose_action("appointment", "handoff", [appointment]))

    assert "It is not known at the moment who is free." in page
    assert find_host("Ben").name in page
    result = superuser.run_action("appointment", "handoff", [appointment], host=find_host("Ben").pk)
    assert "Handed over to" in get_text(result)


def test_the_page_of_a_handed_over_appointment_tells_it(superuser, sandbox, book):
    appointment = book().attendee.appointment
    superuser.run_action("appointment", "handoff", [appointment], host=find_host("Ben").pk)

    page = get_text(superuser.get("appointment_change", appointment.pk))
    changes = get_text(superuser.get("appointmentchange_changelist"))

    assert "Request to hand over: done" in page
    assert "Handed over" in page
    assert find_host("Ben").name in changes
