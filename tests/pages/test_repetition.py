"""A form that is sent again, because its answer was lost, leads to the result of the first one."""

from datetime import datetime

import pytest
from django import forms

from django_meetergo import links
from django_meetergo.models import AppointmentChange, Booking, MeetingType
from tests.pages.test_booking import read
from tests.pages.test_manage import list_new_starts

pytestmark = pytest.mark.django_db(transaction=True)

DETAILS = "/book/intro-call/details/"


class NewQuestion(forms.Form):
    """A required question that the site adds later."""

    reason = forms.CharField()


def disable_type(settings):
    MeetingType.objects.update(enabled=False)


def lead_to_own_page(settings):
    MeetingType.objects.update(needs_own_page=True)


def fill_limit_of_appointments(settings):
    settings.MEETERGO = {**settings.MEETERGO, "MAX_FUTURE_APPOINTMENTS": 1}


def fill_limit_of_bookings(settings):
    settings.MEETERGO = {**settings.MEETERGO, "MAX_BOOKINGS_PER_HOUR": 1}


def add_question(settings):
    forms_of_types = {"intro-call": "tests.pages.test_repetition.NewQuestion"}
    settings.MEETERGO = {**settings.MEETERGO, "FORMS": forms_of_types}


def require_privacy_consent(settings):
    settings.MEETERGO = {**settings.MEETERGO, "PRIVACY_URL": "https://site.example/privacy/"}


@pytest.mark.parametrize(
    "change_site",
    [
        disable_type,
        lead_to_own_page,
        fill_limit_of_appointments,
        fill_limit_of_bookings,
        add_question,
        require_privacy_consent,
    ],
)
def test_the_same_form_leads_to_its_booking_whatever_has_changed(visitor, site, settings, change_site):
    form = visitor.fill_in("intro-call")
    first = visitor.post(DETAILS, **form)
    change_site(settings)
    again = visitor.post(DETAILS, **form)
    assert (again.status_code, again["Location"]) == (303, first["Location"])
    assert len(site.appointments()) == 1


def test_a_form_leads_to_its_booking_after_its_start_and_its_own_age(visitor, movable_clock):
    """The phone was offline until after the appointment had begun."""
    form = visitor.fill_in("intro-call")
    first = visitor.post(DETAILS, **form)
    movable_clock.move(days=30)
    assert visitor.post(DETAILS, **form)["Location"] == first["Location"]


def test_a_repeated_form_of_an_unclear_booking_lets_the_browser_replace_it(visitor, site):
    """The lost answer had the cookie that names the booking."""
    form = visitor.fill_in("checkup")
    visitor.post("/book/checkup/details/", **form)
    visitor.client.cookies.clear()
    visitor.post("/book/checkup/details/", **form)
    visitor.book("checkup", visitor.find_later_start("checkup"))
    assert sorted(Booking.objects.values_list("reason", flat=True)) == ["attendee", "replaced"]


def test_a_form_of_a_booking_that_failed_is_validated_again(visitor, site, movable_clock):
    """Nothing was booked, so a passed start is the truth."""
    form = visitor.fill_in("intro-call")
    site.occupy_slot(datetime.fromisoformat(form["start"]))
    assert visitor.post(DETAILS, **form).status_code == 409
    movable_clock.move(days=30)
    assert "This time has passed" in read(visitor.post(DETAILS, **form))


# Changes


def forbid(action, attendee, now):
    from django_meetergo.services.changes.policy import Decision

    return Decision(allowed=False, reason="closed_season")


@pytest.fixture
def path(visitor, site):
    visitor.book()
    site.run_due()
    return links.get_manage_path(Booking.objects.get().attendee)


@pytest.mark.parametrize("fault", [None, "drop_after"], ids=["done", "in progress"])
def test_a_repeated_move_leads_to_the_appointment(visitor, site, path, settings, fault):
    start = list_new_starts(visitor, path)[3]
    if fault:
        site.fail_next("POST /booking/confirm/reschedule/", fault)
    first = visitor.post(f"{path}reschedule/", start=start)
    settings.MEETERGO = {**settings.MEETERGO, "POLICY": "tests.pages.test_repetition.forbid"}
    again = visitor.post(f"{path}reschedule/", start=start)
    assert [(one.status_code, one["Location"]) for one in (first, again)] == [(303, path)] * 2
    assert AppointmentChange.objects.count() == 1


def test_a_repeated_cancel_in_progress_leads_to_the_appointment(visitor, site, path, settings):
    site.fail_next("POST /booking/confirm/cancel/{id}/{secret}", "drop_after")
    first = visitor.post(f"{path}cancel/")
    assert AppointmentChange.objects.get().is_open
    settings.MEETERGO = {**settings.MEETERGO, "POLICY": "tests.pages.test_repetition.forbid"}
    again = visitor.post(f"{path}cancel/")
    assert [(one.status_code, one["Location"]) for one in (first, again)] == [(303, path)] * 2
    assert AppointmentChange.objects.count() == 1
