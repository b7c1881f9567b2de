"""Querysets and URLs of the models."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from types import SimpleNamespace

import pytest
from django.contrib.auth.models import AnonymousUser, Group, User
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.models import Session
from django.utils import timezone

from django_meetergo.exceptions import InvalidRequest
from django_meetergo.models import Appointment, Attendee, Booking, Host, MeetingType
from django_meetergo.services import AttendeeData, book_appointment
from django_meetergo.testing.factories import (
    AppointmentFactory,
    AttendeeFactory,
    BookingFactory,
    HostFactory,
    MeetingTypeFactory,
)

pytestmark = pytest.mark.django_db


def test_upcoming_appointments_are_active_and_not_over():
    now = timezone.now()
    future = AppointmentFactory(start=now + timedelta(days=1), end=now + timedelta(days=1, hours=1))
    AppointmentFactory(start=now - timedelta(days=1), end=now - timedelta(days=1))
    AppointmentFactory(start=future.start, end=future.end, status="cancelled")
    AppointmentFactory(start=future.start, end=future.end, missing_since=now)

    assert list(Appointment.objects.upcoming()) == [future]
    assert list(Appointment.objects.upcoming(now + timedelta(days=2))) == []
    assert Appointment.objects.active().count() == 2


def test_appointments_of_a_user_are_those_the_user_attends():
    jane, joe = User.objects.create(username="jane"), User.objects.create(username="joe")
    group = AppointmentFactory()
    AttendeeFactory(appointment=group, user=jane)
    AttendeeFactory(appointment=group, user=jane)
    AttendeeFactory(appointment=group, user=joe, status="removed")
    AttendeeFactory(user=None)

    assert list(Appointment.objects.for_user(jane)) == [group]
    assert list(Appointment.objects.for_user(joe)) == []
    assert list(Appointment.objects.for_user(AnonymousUser())) == []


def test_appointments_of_an_object_are_those_booked_for_it():
    subject, other = User.objects.create(username="a"), User.objects.create(username="b")
    attendee = AttendeeFactory(subject=subject)
    AttendeeFactory(subject=other)
    AttendeeFactory()

    assert list(Appointment.objects.for_subject(subject).active()) == [attendee.appointment]
    assert list(Appointment.objects.for_subject(User())) == []


def test_identifiers_are_compared_exactly_on_every_database():
    """MariaDB's default collations ignore case, accents and trailing spaces."""
    ids = ["abc", "ABC", "abc ", "ábc"]
    for remote_id in ids:
        HostFactory(remote_id=remote_id)

    for remote_id in ids:
        assert Host.objects.get(remote_id=remote_id).remote_id == remote_id


def book(kit, **options):
    return book_appointment(
        meeting_type=kit.meeting_type(),
        start=kit.list_free_starts()[0],
        attendee=AttendeeData(email="jane@example.com", first_name="Jane"),
        client=kit.client(),
        now=kit.now(),
        **options,
    )


def test_the_subjects_of_many_rows_are_read_together_whatever_has_become_of_some(
    django_assert_num_queries,
):
    """Of a model that was removed, with a key of another kind, deleted; one is the same for two rows."""
    ann, session = User.objects.create(username="ann"), Session(pk="k" * 40, expire_date=timezone.now())
    session.save()
    removed = ContentType.objects.create(app_label="shop", model="course")
    users = ContentType.objects.get_for_model(User)
    for number, (kind, key) in enumerate(
        [
            *[(users, key) for key in (ann.pk, ann.pk, "no-number", ann.pk + 1, "9" * 30)],
            (ContentType.objects.get_for_model(Session), session.pk),
            (removed, "3"),
            (None, ""),
        ]
    ):
        AttendeeFactory(subject_type=kind, subject_id=str(key), first_name=str(number))

    expected = [ann, ann, None, None, None, session, None, None]

    assert [row.subject for row in Attendee.objects.order_by("pk")] == expected
    with django_assert_num_queries(3):
        rows = list(Attendee.objects.order_by("pk").prefetch_related("subject"))
        assert [row.subject for row in rows] == expected


def test_the_key_of_a_subject_may_be_long_but_must_fit(meetergo_sandbox):
    booking = book(meetergo_sandbox, subject=Session(pk="k" * 255))
    assert Booking.objects.get(pk=booking.pk).attendee.subject_id == "k" * 255

    for subject in (Session(pk="k" * 256), Session()):
        with pytest.raises(InvalidRequest) as refusal:
            book(meetergo_sandbox, subject=subject)
        assert refusal.value.field == "subject"


def test_answers_may_be_decimals_and_dates_but_not_objects(meetergo_sandbox):
    answers = {"weight": Decimal("71.5"), "since": date(2026, 1, 31), "many": [1, 2]}
    booking = book(meetergo_sandbox, custom_fields=answers)

    booking = Booking.objects.get(pk=booking.pk)
    assert booking.state == "confirmed"
    assert booking.custom_fields == {"weight": "71.5", "since": "2026-01-31", "many": [1, 2]}
    with pytest.raises(InvalidRequest, match="is a object, which cannot be stored") as refusal:
        book(meetergo_sandbox, custom_fields={"what": object()})
    assert refusal.value.field == "custom_fields"


def test_bookable_meeting_types_are_enabled_and_listed_by_meetergo():
    kind = MeetingTypeFactory()
    MeetingTypeFactory(enabled=False)
    MeetingTypeFactory(missing_since=timezone.now())

    assert list(MeetingType.objects.bookable()) == [kind]


def test_records_know_the_path_of_their_page(client):
    booking, attendee = BookingFactory(), AttendeeFactory()

    assert MeetingTypeFactory(slug="intro").get_absolute_url() == "/book/intro/"
    assert client.get(booking.get_outcome_url()).status_code == 200
    assert client.get(attendee.get_manage_url()).status_code == 200


def test_the_redirect_to_view_on_site_gives_away_no_secret_link(admin_client):
    """Django offers it to every user who may open the admin, whatever the permissions."""
    for row in (BookingFactory(), AttendeeFactory(), AppointmentFactory()):
        kind = ContentType.objects.get_for_model(row)
        assert admin_client.get(f"/admin/r/{kind.pk}/{row.pk}/").status_code == 404


@pytest.mark.parametrize("make", [BookingFactory, AttendeeFactory])
@pytest.mark.parametrize(
    ("app", "model", "key"), [("shop", "course", "3"), ("auth", "user", "a-slug"), ("auth", "user", "")]
)
def test_a_row_outlives_the_model_of_its_subject_and_the_kind_of_its_keys(make, app, model, key):
    kind, _ = ContentType.objects.get_or_create(app_label=app, model=model)

    row = make(subject_type=kind, subject_id=key)

    assert type(row).objects.get(pk=row.pk).subject is None


def test_a_user_of_another_kind_has_no_appointments_of_the_account_with_the_same_key():
    """That of a stateless token, for example, or of a second model of the site."""
    user = User.objects.create(username="jane")
    attendee = AttendeeFactory(user=user)
    attendee.appointment.hosts.add(HostFactory(user=user))

    for other in (SimpleNamespace(pk=user.pk, is_authenticated=True), Group(pk=user.pk)):
        assert not Appointment.objects.for_user(other).exists()
        assert not Appointment.objects.of_host_user(other).exists()
    assert Appointment.objects.for_user(user).exists()
    assert Appointment.objects.of_host_user(user).exists()
