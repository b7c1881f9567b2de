"""Listing free times and booking them through the REST API."""

from datetime import datetime, timedelta

import pytest
from django import forms
from django.contrib.auth.models import Group

from django_meetergo import links
from django_meetergo.models import Attendee, Booking, MeetingType
from django_meetergo.services.availability.store import Slot, SlotList
from tests.api.conftest import DETAILS, FrontEnd, get_problem_type

pytestmark = pytest.mark.django_db(transaction=True)

KEY = "0123456789abcdef-0123456789abcdef"


class Insurance(forms.Form):
    """The site's questions for a meeting type."""

    insurance = forms.ChoiceField(choices=[("public", "Public"), ("private", "Private")])
    complaint = forms.CharField(required=False, max_length=20)
    times = forms.MultipleChoiceField(required=False, choices=[("am", "Morning"), ("pm", "Afternoon")])


# Meeting types and free times


def test_meeting_types_are_listed_with_public_fields(front_end):
    answer = front_end.get("/meeting-types/")
    assert answer.status_code == 200
    assert answer["Cache-Control"] == "max-age=60"
    found = {row["slug"]: row for row in answer.json()["results"]}
    assert found["consultation"]["durations"] == [15, 30, 60]
    assert found["intro-call"]["hosts"] == [{"name": "Anna Weber", "initials": "AW"}]
    assert not {"id", "remote_id", "host_ids", "queue_id", "raw"} & set(found["intro-call"])


def test_show_index_false_hides_the_list(front_end, settings):
    settings.MEETERGO = {**settings.MEETERGO, "SHOW_INDEX": False}
    assert get_problem_type(front_end.get("/meeting-types/")) == "not-found"


def test_inputs_describe_fields_and_questions(front_end, settings):
    settings.MEETERGO = {**settings.MEETERGO, "FORMS": {"consultation": "tests.api.test_booking.Insurance"}}
    inputs = {
        field["name"]: field for field in front_end.get("/meeting-types/consultation/").json()["inputs"]
    }
    assert inputs["channel"]["type"] == "choice"
    assert inputs["first_name"]["required"]
    assert [choice["value"] for choice in inputs["answers.insurance"]["choices"]] == ["public", "private"]
    assert not {"website", "token", "answers.website"} & set(inputs)


def test_free_times_have_the_requested_zone_and_their_age(front_end):
    answer = front_end.get("/meeting-types/intro-call/availability/", timezone="Asia/Calcutta")
    document = answer.json()
    assert document["timezone"] == "Asia/Kolkata"
    assert document["times"][0]["start"].endswith("+05:30")
    assert datetime.fromisoformat(document["as_of"])
    assert (document["stale"], document["complete"]) == (False, True)


def test_seats_left_are_shown_for_group_types_only(front_end, site):
    start = front_end.list_starts("group-class")[0]
    assert front_end.book("group-class", start=start).status_code == 201
    site.clear_availability()
    times = front_end.get("/meeting-types/group-class/availability/").json()["times"]
    assert next(slot for slot in times if slot["start"] == start)["seats_left"] == 7
    assert front_end.get("/meeting-types/intro-call/availability/").json()["times"][0]["seats_left"] is None


def test_times_of_an_earlier_answer_are_marked_stale(front_end, site, monkeypatch):
    found = SlotList(times=(Slot(start=site.now()),), as_of=site.now(), stale=True)
    monkeypatch.setattr("django_meetergo.contrib.rest_framework.availability.list_slots", lambda **_: found)
    document = front_end.get("/meeting-types/intro-call/availability/").json()
    assert document["stale"]
    assert document["times"]


def test_availability_is_503_when_no_time_is_known(front_end, site):
    site.fail_next("GET /v4/booking-availability", times=9)
    answer = front_end.get("/meeting-types/intro-call/availability/")
    assert (answer.status_code, get_problem_type(answer)) == (503, "service-unavailable")
    assert int(answer["Retry-After"]) > 0


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"timezone": "Mars/Olympus"}, "timezone"),
        ({"first_day": "tomorrow"}, "first_day"),
        ({"first_day": "9999-12-31"}, "first_day"),
        ({"first_day": "2026-12-02", "last_day": "2026-12-01"}, "last_day"),
        ({"first_day": "2026-12-01", "last_day": "2027-02-01"}, "last_day"),
        ({"duration": "31"}, "duration"),
    ],
)
def test_an_invalid_day_range_is_refused_at_its_field(front_end, query, field):
    answer = front_end.get("/meeting-types/intro-call/availability/", **query)
    assert (answer.status_code, list(answer.json()["errors"])) == (422, [field])


def test_a_disabled_meeting_type_is_410(front_end):
    start = front_end.list_starts()[0]
    MeetingType.objects.filter(slug="intro-call").update(enabled=False)
    for answer in (
        front_end.get("/meeting-types/intro-call/"),
        front_end.get("/meeting-types/intro-call/availability/"),
        front_end.book(start=start),
    ):
        assert (answer.status_code, get_problem_type(answer)) == (410, "meeting-type-unavailable")


def test_a_type_booked_elsewhere_answers_with_its_url(front_end):
    start = front_end.list_starts()[0]
    MeetingType.objects.filter(slug="intro-call").update(
        needs_own_page=True, booking_url="https://cal.meetergo.com/x"
    )
    answer = front_end.book(start=start)
    assert (answer.status_code, get_problem_type(answer)) == (409, "booked-elsewhere")
    assert answer.json()["url"] == "https://cal.meetergo.com/x"


@pytest.mark.parametrize("slug", ["nothing", "a b", "nul%00l", "%F0%9F%99%82"])
def test_an_unknown_meeting_type_is_a_problem_document(front_end, slug):
    assert get_problem_type(front_end.get(f"/meeting-types/{slug}/")) == "not-found"


# Booking


def test_a_booking_is_made_and_shown_at_its_address(front_end, site):
    """The answer is 201 and contains everything a page shows, with the address for rescheduling."""
    answer = front_end.book(timezone="Europe/Berlin")
    assert answer.status_code == 201, answer.content
    assert answer["Cache-Control"] == "no-store"
    booked = answer.json()
    assert (booked["state"], booked["poll_after_seconds"]) == ("confirmed", 5)
    assert len(site.appointments()) == 1
    shown = front_end.get(answer["Location"])
    assert shown.json() == booked
    assert shown["Cache-Control"] == "no-store"
    assert front_end.get(booked["manage"]["url"]).json()["state"] == "upcoming"
    booking = Booking.objects.get()
    assert booked["page"].endswith(links.get_booking_path(booking))
    assert (booking.timezone, booking.user) == ("Europe/Berlin", None)


def test_the_same_key_books_once_and_answers_the_same(front_end, site):
    start = front_end.list_starts()[0]
    first, second = (front_end.book(start=start, key=KEY) for _ in range(2))
    assert (first.status_code, second.status_code) == (201, 201)
    assert first["Location"] == second["Location"]
    assert first["Idempotency-Key"] == KEY
    assert len(site.appointments()) == 1


def test_a_key_is_made_and_returned_when_the_client_sends_none(front_end, site):
    start = front_end.list_starts()[0]
    first = front_end.book(start=start)
    again = front_end.book(start=start, key=first["Idempotency-Key"])
    assert again["Location"] == first["Location"]


def test_the_same_key_with_other_content_is_refused_without_details(front_end, site):
    """A client that uses another client's key by chance learns nothing about the other booking."""
    starts = front_end.list_starts()
    front_end.book(start=starts[0], key=KEY)
    answer = front_end.book(start=starts[5], key=KEY, email="other@example.com")
    assert (answer.status_code, get_problem_type(answer)) == (409, "idempotency-key-reused")
    assert set(answer.json()) == {"type", "title", "status"}
    assert len(site.appointments()) == 1


@pytest.mark.parametrize("key", ["short", "x" * 129, "sixteen letters!", "é" * 16])
def test_a_malformed_key_is_refused(front_end, key):
    assert (
        get_problem_type(front_end.post("/bookings/", {}, **{"Idempotency-Key": key}))
        == "idempotency-key-invalid"
    )


def test_a_taken_time_is_409_with_four_alternatives(front_end, site):
    start = front_end.list_starts()[3]
    site.occupy_slot(datetime.fromisoformat(start))
    answer = front_end.book(start=start)
    assert (answer.status_code, get_problem_type(answer)) == (409, "slot-taken")
    alternatives = [slot["start"] for slot in answer.json()["alternatives"]]
    assert len(alternatives) == 4
    assert start not in alternatives
    assert front_end.book(start=alternatives[0]).status_code == 201


def test_a_time_that_is_not_offered_is_409_with_four_alternatives(front_end):
    start = datetime.fromisoformat(front_end.list_starts()[3]) + timedelta(minutes=7)
    answer = front_end.book(start=start.isoformat())
    assert (answer.status_code, len(answer.json()["alternatives"])) == (409, 4)


def test_a_booking_with_a_lost_answer_is_checked_and_found(front_end, site):
    """The answer is 202 with an address; the same key sent again does not send a second request."""
    start = front_end.list_starts()[0]
    site.fail_next(kind="drop_after")
    answer = front_end.book(start=start, key=KEY)
    assert (answer.status_code, answer.json()["state"]) == (202, "unknown")
    assert int(answer["Retry-After"]) == answer.json()["poll_after_seconds"] == 5
    assert front_end.book(start=start, key=KEY)["Location"] == answer["Location"]
    found = front_end.post(answer.json()["url"] + "/check/")
    assert found.json()["state"] == "confirmed"
    assert len(site.appointments()) == 1


def test_a_booking_that_needs_confirmation_is_pending_until_then(front_end, site):
    answer = front_end.book("checkup")
    assert (answer.status_code, answer.json()["reason"]) == (202, "attendee")
    assert answer["Retry-After"] == "15"
    site.confirm(Booking.objects.get())
    assert front_end.post(answer.json()["url"] + "/check/").json()["state"] == "confirmed"


def test_the_holder_of_a_pending_bookings_token_can_replace_it(front_end):
    starts = front_end.list_starts("checkup")
    first = front_end.book("checkup", start=starts[0]).json()
    second = front_end.book("checkup", start=starts[30], replaces=first["token"])
    assert second.status_code == 202
    shown = front_end.get(first["url"]).json()
    assert (shown["reason"], shown["replaced_by"]) == ("replaced", second.json()["url"])


def test_an_open_booking_conflicts_for_its_owner_and_locks_nobody_else_out(front_end, make_user):
    """The owner's conflict has the booking's address; others with the same e-mail address book as usual."""
    owner, starts = make_user("jane"), front_end.list_starts("checkup")
    MeetingType.objects.filter(slug="checkup").update(confirmation="attendee")
    booked = owner.book("checkup", start=starts[0])
    assert booked.status_code == 202
    stranger = front_end.book("checkup", start=starts[30], first_name="Eve")
    assert stranger.status_code == 202
    assert booked.json()["token"] not in stranger.content.decode()
    Booking.objects.update(state="unknown")
    again = owner.book("checkup", start=starts[50])
    assert (again.status_code, again.json()["booking"]) == (409, booked.json()["url"])


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"email": "nonsense"}, {"email"}),
        ({"first_name": "", "last_name": 7}, {"first_name", "last_name"}),
        ({"first_name": "Jane\r\nBcc: x"}, {"first_name"}),
        ({"start": "2026-12-01T09:00:00"}, {"start"}),
        ({"start": "0001-01-01T00:00:00+14:00"}, {"start"}),
        ({"start": "2199-12-31T23:59:00Z"}, {"start"}),
        ({"start": "2020-01-01T09:00:00Z"}, {"start"}),
        ({"duration": 31}, {"duration"}),
        ({"duration": "30"}, {"duration"}),
        ({"timezone": "Mars/Olympus"}, {"timezone"}),
        ({"meeting_type": "nothing"}, {"meeting_type"}),
        ({"channel": "carrier-pigeon"}, {"channel"}),
        ({"location": "the moon"}, {"location"}),
        ({"other_emails": ["x"]}, {"other_emails"}),
        ({"other_emails": ["a@example.com"] * 6}, {"other_emails"}),
        ({"receive_reminders": "yes"}, {"receive_reminders"}),
        ({"answers": {"insurance": "public"}}, {"answers.insurance"}),
        ({"answers": {str(number): "" for number in range(51)}}, {"answers"}),
        ({"replaces": "x~y"}, {"replaces"}),
    ],
)
def test_an_invalid_value_is_refused_at_its_field(front_end, site, changes, fields):
    answer = front_end.book(**changes)
    assert (answer.status_code, get_problem_type(answer)) == (422, "invalid-fields")
    errors = answer.json()["errors"]
    assert set(errors) == fields
    assert all(one["code"] and one["message"] for found in errors.values() for one in found)
    assert not Booking.objects.exists()


@pytest.mark.parametrize(
    "body",
    [
        b'{"meeting_type": "intro-call", "first_name": "\\ud800", "last_name": "\\u0000", "start": 1}',
        b"[" * 100_000,
        b"[]",
        b'"text"',
        b"null",
        b"{",
        b"\xff",
        b'{"meeting_type": NaN}',
        b'{"answers": {"\\ud800": "x"}}',
    ],
)
def test_a_malformed_body_is_a_problem_document(front_end, body):
    answer = front_end.client.post("/api/meetergo/bookings/", body, content_type="application/json")
    assert answer.status_code in {400, 422}
    assert get_problem_type(answer) in {"malformed-request", "invalid-fields"}


def test_too_large_bodies_are_413_and_other_media_types_415(front_end):
    path = "/api/meetergo/bookings/"
    large = front_end.client.post(path, b" " * 200_000, content_type="application/json")
    assert (large.status_code, get_problem_type(large)) == (413, "request-too-large")
    form = front_end.client.post(path, {"a": "b"})
    assert (form.status_code, get_problem_type(form)) == (415, "unsupported-media-type")


def test_answers_are_validated_by_the_sites_form(front_end, settings):
    settings.MEETERGO = {**settings.MEETERGO, "FORMS": {"intro-call": "tests.api.test_booking.Insurance"}}
    answer = front_end.book(answers={"insurance": "none", "complaint": "x" * 21})
    assert set(answer.json()["errors"]) == {"answers.insurance", "answers.complaint"}
    assert front_end.book(answers={"insurance": "public", "times": ["pm"]}).status_code == 201
    assert Booking.objects.get().custom_fields == {"insurance": "public", "times": ["pm"]}


def test_privacy_consent_is_required_where_the_site_sets_privacy_url(front_end, settings):
    settings.MEETERGO = {**settings.MEETERGO, "PRIVACY_URL": "https://site.example/privacy/"}
    assert set(front_end.book().json()["errors"]) == {"privacy"}
    assert front_end.book(privacy=True).status_code == 201


def test_a_field_refused_by_meetergo_is_named_without_its_message(front_end, site):
    body = '{"message": "Validation failed", "errors": [{"field": "email", "message": "BAD WORDS"}]}'
    site.fail_next(kind="status_before", status=400, body=body)
    answer = front_end.book()
    assert (answer.status_code, list(answer.json()["errors"])) == (422, ["email"])
    assert b"BAD WORDS" not in answer.content


def test_an_unreachable_service_is_503_and_nothing_is_sent_later(front_end, site):
    start = front_end.list_starts()[0]
    site.fail_next(kind="status_before", status=429, times=9)
    answer = front_end.book(start=start)
    assert (answer.status_code, get_problem_type(answer)) == (503, "service-unavailable")
    assert front_end.get(answer.json()["booking"]).json()["reason"] == "unreachable"


def test_a_booking_is_deferred_with_consent_where_the_site_allows_it(front_end, site, settings):
    settings.MEETERGO = {**settings.MEETERGO, "DEFER_WHEN_DOWN": True}
    start = front_end.list_starts()[0]
    site.fail_next(kind="status_before", status=429, times=9)
    answer = front_end.book(start=start, defer_consent=True)
    assert (answer.status_code, answer.json()["reason"]) == (202, "deferred")


def test_a_lost_database_is_503_without_details(front_end, monkeypatch):
    from django.db import OperationalError

    def raise_error(*_, **__):
        raise OperationalError("the database is away at 10.0.0.1")

    start = front_end.list_starts()[0]
    monkeypatch.setattr("django_meetergo.contrib.rest_framework.booking.submit_request", raise_error)
    answer = front_end.book(start=start)
    assert (answer.status_code, get_problem_type(answer)) == (503, "database-unavailable")
    assert b"10.0.0.1" not in answer.content


def test_get_booking_sends_no_request_to_meetergo(front_end, site):
    """A GET sends no request to meetergo."""
    site.fail_next(kind="drop_after")
    answer = front_end.book()
    calls_before = len(site.sandbox.request_log.entries())
    assert front_end.get(answer["Location"]).json()["state"] == "unknown"
    assert len(site.sandbox.request_log.entries()) == calls_before


@pytest.mark.parametrize("token", ["x", "x~y", "0" * 32, "%00", "%F0%9F%99%82~x"])
def test_an_invalid_token_is_404_without_a_query(front_end, token, django_assert_num_queries):
    with django_assert_num_queries(0):
        for path in (f"/bookings/{token}/", f"/manage/{token}/"):
            assert get_problem_type(front_end.get(path)) == "not-found"


def test_booking_works_with_atomic_requests(front_end, settings, site):
    from django.db import connection

    start = front_end.list_starts()[0]
    connection.settings_dict["ATOMIC_REQUESTS"] = True
    try:
        assert front_end.book(start=start).status_code == 201
    finally:
        connection.settings_dict["ATOMIC_REQUESTS"] = False


def test_a_booking_belongs_to_the_user_of_the_token(site, make_user):
    assert make_user("jane").book().status_code == 201
    assert Booking.objects.get().user.username == "jane"


def test_a_signed_subject_is_linked_to_the_attendee(front_end):
    group = Group.objects.create(name="Tuesdays")
    assert front_end.book(subject=links.sign_subject(group)).status_code == 201
    assert Attendee.objects.get().subject == group


@pytest.mark.parametrize("forged_value", ["auth.group:{key}", "auth.group:{key}~x", "~"])
def test_an_unsigned_subject_is_refused_at_its_field(front_end, site, forged_value):
    group = Group.objects.create(name="Tuesdays")
    answer = front_end.book(subject=forged_value.format(key=group.pk))
    assert (answer.status_code, list(answer.json()["errors"])) == (422, ["subject"])
    gone = links.sign_subject(group)
    group.delete()
    assert list(front_end.book(subject=gone).json()["errors"]) == ["subject"]
    assert site.appointments() == []


def test_session_cookies_are_ignored_on_public_views(site, make_user, django_user_model):
    """Another site can make a browser send its cookies; the booking then has no user."""
    make_user("jane")
    visitor = FrontEnd()
    visitor.client.force_login(django_user_model.objects.get(username="jane"))
    assert visitor.book().status_code == 201
    assert Booking.objects.get().user is None


def test_the_booking_shows_the_attendees_email(front_end):
    assert front_end.book().json()["email"] == DETAILS["email"]
