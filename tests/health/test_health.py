"""Each fact turns when it should, and says what to do then."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command
from django.utils import timezone

import django_meetergo
from django_meetergo.exceptions import MeetergoError
from django_meetergo.formatting import format_full_day
from django_meetergo.models import Connection, MeetingType, SyncRun, WebhookDelivery
from django_meetergo.sandbox.scenarios import occupy_slot
from django_meetergo.sandbox.seed import ANNA, BEN, CLARA, CONSULTATION, PLATFORM_KEY
from django_meetergo.services import AttendeeData, book_appointment
from django_meetergo.services.clients import record_contact
from django_meetergo.services.doctor import check_service
from django_meetergo.services.health import (
    BAD,
    FAIR,
    GOOD,
    PRUNED_KINDS,
    SKIPPED_KINDS,
    UNKNOWN,
    collect_facts,
    list_removed_connections,
    list_reported_connections,
)
from django_meetergo.services.privacy.retention import prune
from django_meetergo.testing.factories import AppointmentFactory, BookingFactory
from tests.admin.conftest import superuser  # noqa: F401 - fixture
from tests.free_times import list_starts_of_a_full_week

pytestmark = pytest.mark.django_db


@pytest.fixture
def facts(meetergo_sandbox):
    def facts(now=None):
        found = collect_facts(connection="default", now=now or timezone.now())
        return {fact.name: fact for fact in found}

    return facts


def test_a_new_site_is_told_to_sync_and_nothing_fails(facts):
    found = facts()

    assert (found["sync"].level, found["webhooks"].level) == (BAD, FAIR)
    assert all(fact.advice for fact in found.values() if fact.level in {FAIR, BAD})


@pytest.mark.parametrize(("days", "level"), [(60, "good"), (14, "fair"), (3, "bad"), (-1, "bad")])
def test_the_key_is_watched_until_its_last_day(facts, settings, days, level):
    now = timezone.now()
    settings.MEETERGO = {**settings.MEETERGO, "KEY_EXPIRES": now.date() + timedelta(days=days)}

    assert facts(now)["credential"].level == level


def test_a_sync_that_does_not_come_any_more_is_seen(facts):
    now = timezone.now()
    SyncRun.objects.create(kind="near", state="done", started_at=now, finished_at=now)

    assert facts(now)["sync"].level == GOOD
    assert facts(now + timedelta(minutes=20))["sync"].level == FAIR
    assert facts(now + timedelta(hours=2))["sync"].level == BAD


@pytest.mark.parametrize(("kind", "interval"), [("full", 86400), ("directory", 3600)])
def test_a_kind_of_sync_that_always_fails_is_seen_beside_one_that_succeeds(facts, kind, interval):
    """The near sync succeeds every five minutes, and reads neither old appointments nor meeting types."""
    now = timezone.now()
    SyncRun.objects.create(kind="near", state="done", started_at=now, finished_at=now)
    done = SyncRun.objects.create(kind=kind, state="done", started_at=now, finished_at=now)
    failed = SyncRun.objects.create(kind=kind, state="failed", started_at=now, message="page 7 (500)")
    assert facts(now)["sync"].level == GOOD

    SyncRun.objects.filter(pk=done.pk).update(finished_at=now - timedelta(seconds=4 * interval))
    found = facts(now)["sync"]
    assert found.level == FAIR
    assert failed.message in str(found.details)
    assert failed.get_kind_display() in found.text
    assert found.advice

    done.delete()
    assert facts(now)["sync"].level == GOOD  # it has only just begun
    assert facts(now + timedelta(seconds=4 * interval))["sync"].details


def test_a_lost_encryption_key_is_seen(facts, settings):
    Connection.objects.create()
    assert facts()["encryption"].level == GOOD

    settings.MEETERGO = {**settings.MEETERGO, "ENCRYPTION_KEYS": [Fernet.generate_key().decode()]}
    assert facts()["encryption"].level == FAIR  # the key derived from SECRET_KEY still reads it

    settings.SECRET_KEY = "another secret key"
    assert facts()["encryption"].level == BAD


def test_a_booking_before_a_person_is_pressing_and_one_being_checked_is_not(facts):
    booking = BookingFactory(state="unknown")
    assert facts()["unknown"].level == FAIR

    booking.reason = "needs_staff"
    booking.save()

    assert facts()["unknown"].level == BAD


@pytest.mark.parametrize("state", ["unknown", "confirmed", "closed"])
def test_what_is_left_to_staff_is_counted_in_any_state(facts, state):
    """For example a confirmed group booking whose attendee is not known."""
    BookingFactory(state=state, reason="needs_staff")

    assert facts()["unknown"].level == BAD


@pytest.mark.parametrize("calls", [1, 4])
def test_the_calls_that_failed_are_named(facts, meetergo_sandbox, calls):
    """With a closed circuit a few, with an open one those that opened it."""
    kit = meetergo_sandbox
    kit.sandbox.faults.add("GET *", "status_before", times=-1, status=500)
    for number in range(calls):
        with suppress(MeetergoError):
            kit.client("sync").get_appointment(f"appointment-{number}")

    fact = facts()["circuit"]

    assert fact.details == (f"GET /v4/appointment/{{id}}: {calls}",)
    assert fact.level == (FAIR if calls == 1 else BAD)


def test_a_type_that_has_another_slug_here_is_named(facts, meetergo_sandbox):
    """Links, template tags and ``FORMS`` need the name that this site uses."""
    meetergo_sandbox.sync_directory()
    assert facts()["names"].text == "0"
    MeetingType.objects.filter(slug="consultation").update(slug="consultation-2")

    assert facts()["names"].text == "1: consultation → consultation-2"
    MeetingType.objects.filter(slug="consultation-2").update(slug="30", raw={"slug": "30"})
    assert facts()["names"].text == "0"
    MeetingType.objects.filter(slug="30").update(raw={"slug": None})
    assert facts()["names"].text == "1: – → 30"


def test_work_that_nobody_does_is_named_with_its_age(facts):
    BookingFactory(next_at=timezone.now() - timedelta(minutes=30))

    fact = facts()["due"]

    assert fact.level == BAD
    assert fact.details[0].startswith("send bookings: 30")


def test_given_up_deliveries_and_missing_appointments_are_counted(facts):
    now = timezone.now()
    WebhookDelivery.objects.create(digest="1", state="dead", received_at=now)
    AppointmentFactory(missing_since=now)

    found = facts()

    assert (found["dead"].text, found["missing"].text) == ("1", "1")
    assert found["delivery"].level == GOOD


def test_a_refused_key_holds_back_calls_and_says_so(facts, meetergo_sandbox):
    assert facts()["circuit"].level == GOOD
    meetergo_sandbox.expire_key()
    with pytest.raises(CommandError, match="Something must be done"):
        call_command("meetergo_doctor", verbosity=0)

    assert facts()["circuit"].level == BAD


def test_a_clock_that_is_wrong_is_told_once_meetergo_has_answered(facts, meetergo_sandbox):
    """Learnt from what is asked anyway."""
    assert facts()["clock"].level == UNKNOWN
    meetergo_sandbox.run_due(periodic=True)
    assert facts()["clock"].level == GOOD

    meetergo_sandbox.sandbox.faults.add("*", "skew_date", seconds=-90, times=-1)
    meetergo_sandbox.run_due(after=600, periodic=True)

    fact = facts()["clock"]
    assert fact.level == BAD
    assert int(fact.text.split()[0]) == pytest.approx(600 - 90, abs=3)


def test_a_clock_that_stays_is_written_down_once(meetergo_sandbox, django_assert_num_queries):
    client = meetergo_sandbox.client("sync")
    client.get_current_user()
    record_contact(connection="default", client=client)

    client.get_current_user()
    with django_assert_num_queries(1):
        record_contact(connection="default", client=client)
    with django_assert_num_queries(0):
        record_contact(connection="default", client=meetergo_sandbox.client("sync"))


def test_since_when_a_key_is_refused_is_remembered_until_it_is_taken_again(facts, meetergo_sandbox):
    """Also when the cache is lost meanwhile; and the doctor tries again."""
    meetergo_sandbox.run_due(periodic=True)
    meetergo_sandbox.expire_key()
    meetergo_sandbox.run_due(after=600, periodic=True)
    since = Connection.objects.get().refused_since
    assert since

    meetergo_sandbox.clear_availability()
    assert "has been refused for" in facts(since + timedelta(hours=2))["circuit"].text
    meetergo_sandbox.run_due(after=600, periodic=True)
    assert Connection.objects.get().refused_since == since

    meetergo_sandbox.sandbox.faults.clear()
    for token in meetergo_sandbox.sandbox.state.tokens.values():
        token.expired = False
    client = meetergo_sandbox.client("sync")
    check_service(connection="default", client=client, now=meetergo_sandbox.now())

    assert Connection.objects.get().refused_since is None
    assert facts()["circuit"].level == GOOD


def test_requests_are_counted(facts, meetergo_sandbox):
    before = int(facts()["requests"].text.split()[0])
    meetergo_sandbox.client().get_current_user()

    assert int(facts()["requests"].text.split()[0]) == before - 1


# The doctor


def test_the_doctor_is_content_with_a_healthy_site(meetergo_sandbox, capsys):
    """Exit code 0, and every fact in the answer for programs."""
    call_command("meetergo_sync", verbosity=0)
    call_command("meetergo_webhooks", "ensure", verbosity=0)
    capsys.readouterr()

    call_command("meetergo_doctor", "--json")

    told = json.loads(capsys.readouterr().out)
    names = {fact["name"]: fact["level"] for fact in told["connections"]["default"]}
    assert told["level"] != "bad"
    assert (names["answers"], names["webhook_entry"], names["drift"]) == ("good", "good", "good")


def test_the_doctor_says_what_to_do(meetergo_sandbox, capsys):
    with pytest.raises(CommandError):
        call_command("meetergo_doctor")

    assert "meetergo_webhooks ensure" in capsys.readouterr().out


def test_the_doctor_needs_a_credential(settings):
    settings.MEETERGO = {"SANDBOX": True}

    with pytest.raises(CommandError, match="API_KEY"):
        call_command("meetergo_doctor")


def test_an_empty_day_is_explained(meetergo_sandbox, capsys):
    """What blocks each start, in meetergo's words; and our own reasons first."""
    start = list_starts_of_a_full_week(meetergo_sandbox)[2]
    day = timezone.localtime(start).date()
    meetergo_sandbox.occupy_slot(start)
    MeetingType.objects.filter(slug="intro-call").update(enabled=False)

    call_command("meetergo_doctor", "--why-no-slots", "intro-call", day.isoformat())

    out = capsys.readouterr().out
    assert "switched off" in out
    assert " free, " in out
    assert f"blocked, {timezone.localtime(start):%H:%M}" in out


def test_a_day_off_is_told_as_such(meetergo_sandbox, capsys):
    meetergo_sandbox.sync_directory()
    for days in range(1, 8):
        day = (timezone.localtime() + timedelta(days=days)).date()
        call_command("meetergo_doctor", "--why-no-slots", "intro-call", day.isoformat())

    assert "working hours" in capsys.readouterr().out


def test_a_day_is_asked_for_as_the_pages_do(meetergo_sandbox, capsys):
    """For a type that needs all of its hosts, one of them who is busy blocks the start."""
    kit = meetergo_sandbox
    kit.sandbox.configure(team_type=True)
    kit.sync_directory()
    MeetingType.objects.filter(slug="team-consultation").update(calculation_method="everyone")
    start = kit.list_free_starts("team-consultation")[5]
    occupy_slot(kit.sandbox.state, BEN, start, meeting_type_id=CONSULTATION)
    kit.clear_availability()
    assert start not in kit.list_free_starts("team-consultation")

    day = timezone.localtime(start).date()
    call_command("meetergo_doctor", "--why-no-slots", "team-consultation", day.isoformat())

    blocked = next(line for line in capsys.readouterr().out.splitlines() if "Ben Okafor" in line)
    assert f"{timezone.localtime(start):%H:%M}" in blocked


def test_a_removed_connection_is_reported_until_nobody_waits_for_it(settings):
    """A deployment that ends with the doctor does not fail for ever."""
    coming = AppointmentFactory(connection="gone", read_by="gone", start=timezone.now() + timedelta(days=1))
    assert "gone" in list_reported_connections()

    type(coming).objects.update(start=timezone.now() - timedelta(days=1))

    assert "gone" not in list_reported_connections()
    assert MeetingType.objects.filter(connection="gone", missing_since=None).exists()
    assert list_removed_connections() == ["gone"]


def test_a_question_about_a_removed_connection_is_explained(meetergo_sandbox):
    kind = meetergo_sandbox.meeting_type()
    MeetingType.objects.filter(pk=kind.pk).update(connection="gone", read_by="gone")

    with pytest.raises(CommandError, match="no longer have the connection 'gone'"):
        call_command("meetergo_doctor", "--why-no-slots", "intro-call", "2026-12-30")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nope", "2027-01-01"], "Known:"),
        (["intro-call", "x"], "not a day"),
        (["intro-call", "9999-12-31"], "not a day"),
    ],
)
def test_a_mistyped_question_is_explained(meetergo_sandbox, arguments, words):
    meetergo_sandbox.sync_directory()

    with pytest.raises(CommandError, match=words):
        call_command("meetergo_doctor", "--why-no-slots", *arguments)


def test_a_probe_books_looks_and_cleans_up(meetergo_sandbox, capsys):
    """One booking, one cancel, and what the account does in between."""
    meetergo_sandbox.sync_directory()

    call_command("meetergo_doctor", "--probe", "intro-call")

    out = capsys.readouterr().out
    for step in (
        "booking: confirmed",
        "reference given back: yes",
        "secret:",
        "list: shows it",
        "cancel: done",
    ):
        assert step in out, out
    assert meetergo_sandbox.appointments() == []
    assert len(meetergo_sandbox.appointments(active=False)) == 1


def test_a_probe_in_a_group_takes_back_its_own_place_only(meetergo_sandbox, capsys):
    """Other people may have booked the same time."""
    kit = meetergo_sandbox
    group, now = kit.meeting_type("group-class"), kit.now()
    starts = [start for start in kit.list_free_starts("group-class") if start < now + timedelta(days=14)]
    jane = AttendeeData(email="jane@example.com", first_name="Jane")
    book_appointment(meeting_type=group, start=starts[-1], attendee=jane, client=kit.client(), now=now)

    call_command("meetergo_doctor", "--probe", "group-class")

    assert "cancel: done" in capsys.readouterr().out
    [appointment] = kit.appointments()
    assert [attendee.email for attendee in appointment.attendees] == ["jane@example.com"]


def test_a_probe_leaves_no_request_behind_that_somebody_must_confirm(meetergo_sandbox, capsys):
    meetergo_sandbox.sync_directory()

    with pytest.raises(CommandError, match="did not go through"):
        call_command("meetergo_doctor", "--probe", "checkup")

    assert "choose another type" in capsys.readouterr().out
    assert meetergo_sandbox.count_requests() == 0


def test_a_probe_that_cannot_book_says_why(meetergo_sandbox):
    meetergo_sandbox.sync_directory()
    meetergo_sandbox.fail_next(kind="status_before", status=400, times=5)

    with pytest.raises(CommandError, match="did not go through"):
        call_command("meetergo_doctor", "--probe", "intro-call")


# What staff see


def test_hosts_without_a_calendar_are_named(facts, meetergo_sandbox):
    """A personal token can ask for its own user only."""
    assert facts()["calendars"].level == UNKNOWN
    meetergo_sandbox.sync_directory()
    fact = facts()["calendars"]
    assert (fact.level, fact.text) == (GOOD, "connected; not known: Ben Okafor, Clara Yılmaz")

    anna = meetergo_sandbox.sandbox.state.users[ANNA]
    anna.calendars = ()
    meetergo_sandbox.sync_directory()

    assert (facts()["calendars"].level, facts()["calendars"].text) == (FAIR, "not connected: Anna Weber")


def test_a_platform_key_asks_for_every_host(facts, meetergo_sandbox, settings):
    settings.MEETERGO = {**settings.MEETERGO, "API_KEY": PLATFORM_KEY, "USER_ID": ANNA}
    for user_id in (BEN, CLARA):
        meetergo_sandbox.sandbox.state.users[user_id].calendars = ()

    meetergo_sandbox.sync_directory()

    assert facts()["calendars"].text == "not connected: Ben Okafor, Clara Yılmaz"


@pytest.mark.parametrize("status", [400, 403, 404, 429, 500])
def test_a_key_that_may_not_read_calendars_leaves_them_unknown(facts, meetergo_sandbox, status):
    meetergo_sandbox.fail_next("GET /v4/calendar-connections/connections", status=status, times=-1)
    meetergo_sandbox.sync_directory()
    assert facts()["calendars"].level == UNKNOWN
    assert MeetingType.objects.bookable().exists()


def test_what_was_skipped_is_counted_in_words_and_named_in_the_details(facts):
    skipped = [{"kind": "appointment", "id": f"a{number}", "reason": "no start"} for number in range(2)]
    now = timezone.now()
    run = {"state": "done", "started_at": now, "finished_at": now}
    SyncRun.objects.create(kind="near", skipped=skipped, **run)
    SyncRun.objects.create(
        kind="directory", skipped=[{"kind": "data field", "id": "f", "reason": "junk"}], **run
    )

    fact = facts()["skipped"]

    assert (fact.level, fact.text) == (FAIR, "appointments: 2, questions: 1")
    assert fact.details == ("appointment a0: no start", "appointment a1: no start", "data field f: junk")


def test_every_kind_that_is_skipped_has_a_name_for_staff(meetergo_sandbox):
    """The kinds stand in the calls of ``note_skipped`` and ``read_items`` of the lists that a sync reads."""
    root = Path(django_meetergo.__file__).parent
    sources = [*(root / "services/sync").glob("*.py"), root / "remote/payloads/directory.py"]
    text = "".join(path.read_text("utf-8") for path in sources)
    kinds = set(re.findall(r'(?:note_skipped\(\w+(?:\.\w+)*, |parse_\w+, )"([^"]+)"', text))
    assert kinds >= {"host", "appointment", "meeting type", "queue", "data field", "data fields"}
    assert kinds <= set(SKIPPED_KINDS)


def test_what_was_pruned_last_is_said(facts, settings):
    Connection.objects.create()
    assert facts()["pruned"].level == UNKNOWN
    settings.MEETERGO = {**settings.MEETERGO, "RETENTION_DAYS": {"deliveries": 30}}
    now = timezone.now()
    WebhookDelivery.objects.create(digest="1", state="done", received_at=now - timedelta(days=40))

    counts = prune(now=now)

    day = format_full_day(timezone.localdate(now))
    assert facts()["pruned"].text == f"{day}: webhook deliveries: 1"
    assert set(counts) <= set(PRUNED_KINDS)
    prune(now=now)
    assert facts()["pruned"].text == f"{day}: nothing"


def test_the_page_folds_technical_words(superuser, meetergo_sandbox):  # noqa: F811
    """What staff read first has no ids or class names; the rest is open only if there is a problem."""
    meetergo_sandbox.sync_directory()
    now = timezone.now()
    SyncRun.objects.create(
        kind="near",
        state="done",
        started_at=now,
        finished_at=now,
        skipped=[{"kind": "appointment", "id": "a7f3", "reason": "DataError: too long"}],
    )
    page = superuser.get("connection_health").content.decode()
    by_row = re.sub(r"<details>.*?</details>", "", page, flags=re.DOTALL)
    folded = re.sub(r"<details.*?</details>", "", by_row, flags=re.DOTALL)

    assert "appointments: 1" in folded
    for technical in ("a7f3", "DataError", "Encryption keys", "Webhooks"):
        assert technical in page
        assert technical not in folded
    assert '<details class="mg-technical" open>' in page

    Connection.objects.update(webhook_remote_id="7")
    WebhookDelivery.objects.create(digest="1", state="done", received_at=now)
    assert '<details class="mg-technical">' in superuser.get("connection_health").content.decode()
