"""An erased person stays erased, whatever meetergo sends later."""

from __future__ import annotations

import json
from smtplib import SMTPRecipientsRefused
from typing import Any

import pytest
from django.apps import apps
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.core.mail.backends.locmem import EmailBackend
from django.core.management import CommandError, call_command
from django.db import connection

from django_meetergo import links
from django_meetergo.models import Appointment, Attendee, Booking, ErasedPerson, Event, fold_email
from django_meetergo.services import AttendeeData, book_appointment
from django_meetergo.services.changes.requests import cancel_appointment, reschedule_appointment
from django_meetergo.services.clients import build_client
from django_meetergo.services.mirror import appointments
from django_meetergo.services.mirror.erasure import find_addresses
from django_meetergo.services.privacy.erasure import ErasureReport, allow_again, erase_person
from django_meetergo.services.privacy.retention import prune
from django_meetergo.services.sync.appointments import sync_appointment, sync_appointments
from django_meetergo.services.sync.directory import sync_directory
from django_meetergo.services.sync.drift import find_drift
from tests.privacy.conftest import EMAIL, TRACES

pytestmark = pytest.mark.django_db


def find_traces() -> list[str]:
    return scan_for(*TRACES)


def scan_for(*traces: str) -> list[str]:
    """Return every table and trace, from all columns of all tables. JSON may escape other letters."""
    spellings = {each for trace in traces for each in (trace, trace.casefold())}
    spellings |= {json.dumps(each)[1:-1].casefold() for each in spellings}
    found = []
    with connection.cursor() as cursor:
        for model in apps.get_models():
            table = connection.ops.quote_name(model._meta.db_table)
            cursor.execute(f"SELECT * FROM {table}")
            for row in cursor.fetchall():
                text = "|".join(str(value) for value in row).casefold()
                found += [f"{model.__name__}: {trace}" for trace in spellings if trace in text]
    return found


def erase(now: Any) -> ErasureReport:
    return erase_person(email=EMAIL, now=now)


def edit_guests(kit: Any, number: int) -> None:
    """Change the documents at meetergo, which still name every guest."""
    for appointment in kit.appointments(active=False):
        for attendee in appointment.attendees:
            attendee.company = f"Jane Ltd {number}"


def edit_remotely(kit: Any, note: str) -> None:
    """Change her attendee at meetergo: a sync skips documents that have not changed."""
    for appointment in kit.appointments(active=False):
        for attendee in appointment.attendees:
            attendee.company = f"Zeta Ltd {note}"


def test_her_data_is_found_before_the_erasure(zelda):
    """The other tests can fail."""
    assert {"Attendee", "Booking", "Appointment"} <= {line.partition(":")[0] for line in find_traces()}


@pytest.mark.parametrize("is_active", [True, False])
def test_nothing_is_found_after_erasure_sync_and_a_late_webhook(zelda, meetergo_sandbox, is_active):
    """While meetergo still has her data, and after a cancel with personal data in its reason."""
    kit = meetergo_sandbox
    kit.register_webhook()
    user = User.objects.create_superuser("boss")
    appointment = zelda.attendee.appointment
    LogEntry.objects.create(
        user=user, content_type=ContentType.objects.get_for_model(Appointment), object_id=str(appointment.pk),
        object_repr=str(appointment), action_flag=2, change_message="Zelda called about her sore knee",
    )  # fmt: skip
    if not is_active:
        cancel_appointment(
            appointment=appointment, client=kit.client(), now=kit.now(), reason="Quark has a sore knee"
        )

    erase(kit.now())
    assert find_traces() == []

    for kind in ("near", "full"):
        edit_remotely(kit, kind)
        sync_appointments(connection="default", client=kit.client("sync"), now=kit.travel(days=1), kind=kind)
        assert find_traces() == []
    edit_remotely(kit, "late")
    kit.reread_all()
    kit.deliver()
    kit.run_due(after=60)
    kit.run_due(after=600, periodic=True)
    assert find_traces() == []


def test_she_stays_erased_under_a_connection_that_is_set_up_later(zelda, meetergo_sandbox, settings):
    """Its name was changed in the settings, so everything is mirrored once more."""
    kit = meetergo_sandbox
    erase(kit.now())
    named = {"main": {"API_KEY": settings.MEETERGO["API_KEY"]}}
    settings.MEETERGO = {**settings.MEETERGO, "API_KEY": "", "CONNECTIONS": named}

    client = build_client("main", "sync")
    sync_directory(connection="main", client=client, now=kit.travel(days=1))
    sync_appointments(connection="main", client=client, now=kit.now(), kind="full")

    assert Appointment.objects.filter(connection="main", start=zelda.start).exists()
    assert find_traces() == []


@pytest.mark.parametrize("is_known", [True, False], ids=["known", "new"])
def test_a_sync_that_had_read_her_before_the_erasure_does_not_keep_her(
    zelda, meetergo_sandbox, monkeypatch, is_known
):
    """It stores what it has read when the erasure is over; the daily deletion finds that."""
    kit = meetergo_sandbox
    edit_remotely(kit, "before")
    if not is_known:
        kit.book_elsewhere(kit.list_free_starts()[-1])
        [_, other] = kit.appointments()
        other.attendees[0].email = EMAIL
    write = appointments.write_appointments

    def erase_first(*args, **options):
        monkeypatch.setattr(appointments, "write_appointments", write)
        erase(kit.now())
        return write(*args, **options)

    monkeypatch.setattr(appointments, "write_appointments", erase_first)
    sync_appointments(connection="default", client=kit.client("sync"), now=kit.now(), kind="full")
    prune(now=kit.travel(days=1))

    assert find_traces() == []


def test_her_address_is_not_kept_in_the_errors_of_receivers(zelda, meetergo_sandbox, settings, monkeypatch):
    """A mail server names the addresses that it refuses."""
    kit = meetergo_sandbox
    settings.MEETERGO = {**settings.MEETERGO, "SEND_MAIL": ["cancelled"]}

    def refuse(backend, messages):
        raise SMTPRecipientsRefused(dict.fromkeys(messages[0].to, (550, b"no such user")))

    monkeypatch.setattr(EmailBackend, "send_messages", refuse)
    kit.cancel_elsewhere(zelda.attendee.appointment)
    kit.reread_all()
    kit.run_due(after=5)
    kit.run_due(after=5)
    assert any(line.startswith("Event") for line in find_traces())

    erase(kit.now())

    assert find_traces() == []
    for _ in range(24):
        kit.run_due(after=4 * 3600)
    assert find_traces() == []
    assert not Event.objects.filter(dispatched_at=None).exists()


def test_the_appointment_remains(zelda, meetergo_sandbox):
    """Time, type and state are not personal data, and a sync finds no drift."""
    kit = meetergo_sandbox
    erase(kit.now())
    row = Appointment.objects.get(pk=zelda.attendee.appointment_id)
    assert (row.start, row.status) == (zelda.start, "confirmed")

    again = sync_appointment(appointment=row, client=kit.client(), now=kit.now())
    assert again.digest == row.digest
    sync_appointments(connection="default", client=kit.client("sync"), now=kit.now())
    drift = find_drift(connection="default", client=kit.client("sync"), now=kit.now())

    assert drift.differs == {}
    assert Attendee.objects.filter(appointment=row).count() == 1


def test_a_reschedule_is_still_mirrored(zelda, meetergo_sandbox):
    kit = meetergo_sandbox
    erase(kit.now())
    row = Appointment.objects.get(pk=zelda.attendee.appointment_id)
    target = kit.list_free_starts()[8]

    reschedule_appointment(appointment=row, start=target, client=kit.client(), now=kit.now())

    row.refresh_from_db()
    assert row.start == target
    assert find_traces() == []


def test_her_links_are_invalid(zelda, meetergo_sandbox, client):
    manage, outcome = links.get_manage_path(zelda.attendee), links.get_booking_path(zelda)

    erase(meetergo_sandbox.now())

    assert client.get(manage).status_code == 404
    assert client.get(outcome).status_code == 404


def test_a_second_erasure_changes_nothing(zelda, meetergo_sandbox):
    erase(meetergo_sandbox.now())
    report = erase(meetergo_sandbox.now())

    assert (report.attendees, report.bookings) == (0, 0)
    assert ErasedPerson.objects.count() == 1


def test_an_erased_address_can_be_allowed_again(zelda, meetergo_sandbox):
    """New documents about it are stored as usual; links to what was blanked stay invalid."""
    kit = meetergo_sandbox
    erase(kit.now())

    assert allow_again(email=EMAIL.upper())

    assert not allow_again(email=EMAIL)
    with pytest.raises(CommandError, match="was not erased"):
        call_command("meetergo_erase", EMAIL, "--allow-again")
    assert find_traces() == []
    edit_remotely(kit, "later")
    sync_appointments(connection="default", client=kit.client("sync"), now=kit.travel(days=1), kind="full")
    assert Attendee.objects.filter(email_folded=EMAIL.casefold()).exists()


def test_another_person_is_not_erased(zelda, meetergo_sandbox):
    kit = meetergo_sandbox
    other = book_appointment(
        meeting_type=kit.meeting_type(), start=kit.list_free_starts()[4], client=kit.client(), now=kit.now(),
        attendee=AttendeeData(email="jane@example.com", first_name="Jane", last_name="Doe"),
    )  # fmt: skip

    erase(kit.now())

    other.refresh_from_db()
    assert (other.email, other.attendee.email) == ("jane@example.com", "jane@example.com")


def test_other_attendees_of_a_group_keep_their_names(meetergo_sandbox):
    """Also after the next sync."""
    kit = meetergo_sandbox
    from django_meetergo.models import MeetingType

    kit.sync_directory()
    group = MeetingType.objects.filter(spots__gt=1).first()
    start = kit.list_free_starts(group.slug)[0]
    for email, name, last in ((EMAIL, "Zelda", "Quark"), ("jane@example.com", "Jane", "Doe")):
        book_appointment(
            meeting_type=group, start=start, client=kit.client(), now=kit.now(),
            attendee=AttendeeData(email=email, first_name=name, last_name=last),
        )  # fmt: skip
    kit.run_due(after=5)

    erase(kit.now())
    sync_appointments(connection="default", client=kit.client("sync"), now=kit.travel(hours=1))

    people = Attendee.objects.filter(appointment__meeting_type=group, status="attending")
    assert "Jane" in set(people.values_list("first_name", flat=True))
    assert find_traces() == []


def test_an_open_booking_is_reported_and_blanked_by_prune(meetergo_sandbox):
    """Its data is needed until it has been sent."""
    kit = meetergo_sandbox
    booking = book_appointment(
        meeting_type=kit.meeting_type(), start=kit.list_free_starts()[0], client=kit.client(), now=kit.now(),
        send=False,
        attendee=AttendeeData(email=EMAIL, first_name="Zelda", last_name="Quark"),
    )  # fmt: skip

    with pytest.raises(CommandError, match=booking.reference):
        call_command("meetergo_erase", EMAIL, "--no-input")
    kit.run_due()
    assert Attendee.objects.get().email == ""
    call_command("meetergo_prune", verbosity=0)

    assert Booking.objects.get().email == ""
    assert find_traces() == []


@pytest.mark.parametrize("is_mirrored", [False, True], ids=["found by the search", "mirrored before"])
def test_nothing_of_a_booking_returns_that_ends_after_the_erasure(meetergo_sandbox, is_mirrored):
    """Its answers and its user would never be looked for again."""
    kit = meetergo_sandbox
    kit.fail_next(kind="drop_after")
    booking = book_appointment(
        meeting_type=kit.meeting_type(), start=kit.list_free_starts()[0], client=kit.client(), now=kit.now(),
        attendee=AttendeeData(email=EMAIL, first_name="Zelda", last_name="Quark"),
        custom_fields={"complaint": "sore knee"}, user=User.objects.create(username="z"),
    )  # fmt: skip
    assert booking.state == "unknown"
    erase(kit.now())
    if is_mirrored:
        sync_appointments(connection="default", client=kit.client("sync"), now=kit.now(), kind="full")

    for _ in range(5):
        kit.run_due(after=60)
    prune(now=kit.now())

    booking.refresh_from_db()
    assert booking.state == "confirmed"
    assert booking.attendee.user is None
    assert find_traces() == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Please also inform zelda@example.com.", {"zelda@example.com"}),
        ("<Zelda@Example.com>, ann@example.co; «bea@example.org»…", {
            "zelda@example.com", "ann@example.co", "bea@example.org",
        }),
        ("https://x.example/?m=ann@example.com&to=bea@example.org", {"ann@example.com", "bea@example.org"}),
        ("o'brien@example.com", {"o'brien@example.com"}),
        ("'ann@example.com'!", {"ann@example.com"}),
        ("joann@example.com", {"joann@example.com"}),
        ("at 9 @ the desk", set()),
    ],
)  # fmt: skip
def test_an_address_is_found_in_a_text_as_it_is(text, found):
    """Neither a part of a longer one, nor with the full stop behind it."""
    assert set(find_addresses(text)) - {fold_email(text)} == found - {fold_email(text)}
    assert found <= set(find_addresses(text))


def book_for_jane(kit: Any, *guests: str) -> Booking:
    """A booking of somebody else who invites guests, mirrored and read back."""
    booking = book_appointment(
        meeting_type=kit.meeting_type(), start=kit.list_free_starts()[6], client=kit.client(), now=kit.now(),
        attendee=AttendeeData(email="jane@example.com", first_name="Jane", other_emails=guests),
    )  # fmt: skip
    kit.run_due(after=5)
    sync_appointments(connection="default", client=kit.client("sync"), now=kit.now(), kind="full")
    booking.refresh_from_db()
    return booking


@pytest.mark.parametrize(
    ("address", "asked"),
    [
        (EMAIL, EMAIL.upper()),
        ("Zelda.Quark@ÜBUNG.example", "zelda.quark@übung.example"),
        # An international domain has two spellings, and "ü" has two encodings.
        ("zelda@quark-müller.example", "zelda@xn--quark-mller-zhb.example"),
        ("zelda@xn--quark-mller-zhb.example", "ZELDA@QUARK-MÜLLER.EXAMPLE"),
        ("zelda@quark-müller.example", "zelda@quark-mu\u0308ller.example"),
    ],
)
def test_her_address_is_removed_where_others_have_invited_her(meetergo_sandbox, address, asked):
    """From their bookings and from the documents of their appointments, also after the next sync."""
    kit = meetergo_sandbox
    booking = book_for_jane(kit, address, "kept@example.com")
    assert scan_for(address)

    erase_person(email=asked, now=kit.now())

    for days in (1, 2):
        assert scan_for(address) == []
        edit_guests(kit, days)
        sync_appointments(
            connection="default", client=kit.client("sync"), now=kit.travel(days=days), kind="full"
        )
    booking.refresh_from_db()
    assert booking.other_emails == ["kept@example.com"]
    assert booking.attendee.email == "jane@example.com"


def test_a_domain_that_only_looks_alike_is_another_one(meetergo_sandbox):
    """ "straße" and "strasse" are two domains; erasing one person leaves the other."""
    booking = book_for_jane(meetergo_sandbox, "zelda@straße.example")

    erase_person(email="zelda@strasse.example", now=meetergo_sandbox.now())

    booking.refresh_from_db()
    assert booking.other_emails == ["zelda@straße.example"]


def change_address(kit: Any, old: str, new: str) -> None:
    for appointment in kit.appointments(active=False):
        for attendee in appointment.attendees:
            if attendee.email == old:
                attendee.email = new
    sync_appointments(connection="default", client=kit.client("sync"), now=kit.travel(hours=1), kind="full")


@pytest.mark.parametrize("given", [EMAIL, "z.q@example.com"])
def test_an_address_that_was_changed_at_meetergo_is_followed(zelda, meetergo_sandbox, client, given):
    """Erased under either address, the booking and the attendee are blank and their links are invalid."""
    kit = meetergo_sandbox
    change_address(kit, zelda.attendee.email, "z.q@example.com")
    zelda.refresh_from_db()
    assert (zelda.email, zelda.attendee.email) == (EMAIL, "z.q@example.com")

    report = erase_person(email=given, now=kit.now())

    assert report.addresses == ["z.q@example.com", EMAIL.casefold()]
    assert find_traces() == []
    assert scan_for("z.q@example.com") == []
    assert client.get(zelda.get_outcome_url()).status_code == 404
    assert client.get(zelda.attendee.get_manage_url()).status_code == 404
    edit_remotely(kit, "later")
    sync_appointments(connection="default", client=kit.client("sync"), now=kit.travel(days=1), kind="full")
    assert find_traces() == scan_for("z.q@example.com") == []


def test_the_command_asks_for_confirmation_and_names_what_it_does_not_erase(zelda, monkeypatch, capsys):
    monkeypatch.setattr("builtins.input", lambda prompt: "another@example.com")
    with pytest.raises(CommandError, match="nothing was erased"):
        call_command("meetergo_erase", EMAIL)
    with pytest.raises(CommandError, match="not an e-mail address"):
        call_command("meetergo_erase", "zelda")

    monkeypatch.setattr("builtins.input", lambda prompt: EMAIL)
    call_command("meetergo_erase", EMAIL)

    assert "delete the person there as well" in capsys.readouterr().out
    assert find_traces() == []


def test_a_seat_that_was_given_to_somebody_else_is_not_followed(zelda, meetergo_sandbox):
    """The host put Bob on Zelda's seat: erasing Zelda leaves Bob, and erasing Bob leaves Zelda's booking."""
    Attendee.objects.filter(pk=zelda.attendee.pk).update(
        email="bob@example.com", email_folded="bob@example.com", first_name="Bob", last_name="Ross"
    )
    own = Booking.objects.create(
        meeting_type=zelda.meeting_type, start=zelda.start, duration=30, created_at=zelda.created_at,
        state="closed", email="bob@example.com", email_folded="bob@example.com", first_name="Bob",
    )  # fmt: skip

    report = erase(meetergo_sandbox.now())

    assert report.addresses == [EMAIL.casefold()]
    assert Attendee.objects.get(pk=zelda.attendee.pk).email == "bob@example.com"
    assert Booking.objects.get(pk=own.pk).email == "bob@example.com"
    assert Booking.objects.get(pk=zelda.pk).email == ""


def test_no_address_is_nobodys(zelda, meetergo_sandbox):
    """People without an e-mail address are not one person."""
    Attendee.objects.filter(pk=zelda.attendee.pk).update(email="", email_folded="")
    Booking.objects.filter(pk=zelda.pk).update(email="", email_folded="")

    report = erase_person(email=" ", now=meetergo_sandbox.now())

    assert (report.attendees, report.bookings) == (0, 0)
    assert Booking.objects.get(pk=zelda.pk).first_name == "Zelda"
