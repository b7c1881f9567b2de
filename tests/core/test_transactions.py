"""Write transactions and the errors of a database that is away."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import IntegrityError, InterfaceError, OperationalError, ProgrammingError, connection
from django.db.backends.sqlite3.base import DatabaseWrapper
from django.urls import reverse

from django_meetergo import links, transactions
from django_meetergo.models import CalendarFeed, MeetingType
from django_meetergo.testing.factories import AppointmentFactory
from django_meetergo.transactions import is_database_away, run_with_retries, write_transaction
from django_meetergo.views.decorators import page


@pytest.fixture
def database(tmp_path, monkeypatch, django_db_blocker):
    """Use a SQLite file with Django's default options, in place of the test database."""
    wrapper = DatabaseWrapper({**connection.settings_dict, "ENGINE": "django.db.backends.sqlite3",
                               "NAME": tmp_path / "db.sqlite3", "OPTIONS": {"timeout": 5}})  # fmt: skip
    with django_db_blocker.unblock(), closing(wrapper):
        wrapper.cursor().execute("CREATE TABLE numbers (number INTEGER UNIQUE)")
        monkeypatch.setattr(transactions, "connection", wrapper)
        monkeypatch.setattr(transactions.transaction, "get_connection", lambda using=None: wrapper)
        yield wrapper


def count(database):
    return database.cursor().execute("SELECT COUNT(*) FROM numbers").fetchone()[0]


def test_a_write_after_a_read_waits_for_another_writer_on_sqlite(database):
    """A transaction that reads first fails with "database is locked" at once, whatever the timeout."""

    def write_meanwhile():
        with closing(sqlite3.connect(database.settings_dict["NAME"], timeout=5)) as other, other:
            other.execute("INSERT INTO numbers VALUES (1)")

    other = threading.Thread(target=write_meanwhile)
    with write_transaction():
        before = count(database)
        other.start()
        other.join(0.2)
        database.cursor().execute("INSERT INTO numbers VALUES (2)")
    other.join()

    assert (before, count(database)) == (0, 2)


def test_a_conflict_is_repeated_and_its_changes_are_rolled_back(database):
    attempts = []

    def insert():
        database.cursor().execute("INSERT INTO numbers VALUES (%s)", [len(attempts)])
        attempts.append(True)
        if len(attempts) == 1:
            raise IntegrityError("another worker was faster")
        return "done"

    assert run_with_retries(insert) == "done"
    assert count(database) == 1


def test_a_locked_database_is_an_error_after_a_bounded_number_of_attempts(database):
    attempts = []

    def fail():
        attempts.append(True)
        raise OperationalError("database is locked")

    with pytest.raises(OperationalError):
        run_with_retries(fail)
    assert len(attempts) == transactions.MAX_ATTEMPTS


def test_a_missing_table_is_neither_repeated_nor_a_database_that_is_away(database):
    attempts = []

    def read():
        attempts.append(True)
        database.cursor().execute("SELECT * FROM missing")

    with pytest.raises(OperationalError) as failure:
        run_with_retries(read)
    assert len(attempts) == 1
    assert not is_database_away(failure.value)


def test_a_closed_session_and_a_locked_file_mean_that_the_database_is_away(database):
    with closing(sqlite3.connect(database.settings_dict["NAME"])) as other:
        other.execute("BEGIN EXCLUSIVE")
        database.cursor().execute("PRAGMA busy_timeout = 1")
        with pytest.raises(OperationalError) as failure:
            count(database)
        assert is_database_away(failure.value)
    assert is_database_away(InterfaceError("connection already closed"))
    assert is_database_away(OperationalError(2006, "Server has gone away"))
    assert not is_database_away(OperationalError(1054, "Unknown column"))
    assert not is_database_away(ProgrammingError("relation does not exist"))


@pytest.fixture
def no_meeting_types(transactional_db):
    """A database without the table of the meeting types."""
    table = MeetingType._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} RENAME TO {table}_renamed")
    yield
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table}_renamed RENAME TO {table}")


def test_a_missing_migration_shows_on_the_pages(client, no_meeting_types):
    """It must not look like an outage."""
    with pytest.raises((OperationalError, ProgrammingError), match="meetergo_meetingtype"):
        client.get("/book/")


@pytest.mark.django_db
def test_a_database_that_is_away_is_answered_with_503_and_logged(rf, caplog):
    def view(request):
        raise OperationalError("server closed the connection unexpectedly")

    assert page(view)(rf.get("/book/")).status_code == 503
    assert "The database is away" in caplog.text


@pytest.fixture
def make_read_only(transactional_db):
    """Return a function that makes the database refuse writes, as a replica or a full disk does."""

    def switch(*, is_on):
        with connection.cursor() as cursor:
            if connection.vendor == "sqlite":
                cursor.execute(f"PRAGMA query_only = {is_on:d}")
            elif connection.vendor == "postgresql":
                cursor.execute(f"SET default_transaction_read_only = {'on' if is_on else 'off'}")
            else:
                cursor.execute(f"SET SESSION TRANSACTION READ {'ONLY' if is_on else 'WRITE'}")

    yield lambda: switch(is_on=True)
    switch(is_on=False)


def test_a_calendar_feed_is_read_from_a_database_that_cannot_be_written(client, make_read_only):
    """Only the time of the fetch is not stored."""
    owner = User.objects.create_superuser("boss")
    feed = CalendarFeed.objects.create(name="phone", user=owner)
    path = reverse("meetergo:feed", args=[links.sign(feed.public_id, salt=links.FEED_SALT)])
    make_read_only()

    assert client.get(path).status_code == 200


def test_staff_read_that_the_database_cannot_be_written(client, make_read_only, caplog):
    """Neither a cancel nor an export, which is logged, ends in a server error without words."""
    client.force_login(User.objects.create_superuser("boss"))
    appointment = AppointmentFactory()
    make_read_only()

    answers = [
        client.post(
            reverse("admin:meetergo_appointment_cancel"), {"ids": appointment.pk, "confirmed": "yes"}
        ),
        client.get(reverse("admin:meetergo_appointment_export")),
    ]

    for answer in answers:
        assert (answer.status_code, "cannot be read or written" in answer.content.decode()) == (503, True)
    assert "The database is away" in caplog.text


@pytest.mark.parametrize("name", ["meetergo_sync", "meetergo_doctor", "meetergo_prune"])
def test_a_command_says_that_the_database_cannot_be_written(meetergo_sandbox, make_read_only, name):
    make_read_only()

    with pytest.raises(CommandError, match="cannot be read or written"):
        call_command(name)
