"""Management commands."""

from __future__ import annotations

import socket
from importlib import import_module

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, OperationalError
from django.db.migrations.recorder import MigrationRecorder

from django_meetergo.models import Appointment, Booking, Connection, Event, MeetingType
from django_meetergo.services import scheduler

pytestmark = pytest.mark.django_db


def test_sync_mirrors_everything_and_prints_the_counts(meetergo_sandbox, capsys):
    call_command("meetergo_sync", "--kind", "full")

    out = capsys.readouterr().out
    assert MeetingType.objects.count() == 6
    assert f"{Appointment.objects.count()} written" in out


def test_the_first_full_sync_imports_history_and_later_ones_bring_news(meetergo_sandbox):
    meetergo_sandbox.sync_directory()
    first, second = meetergo_sandbox.list_free_starts()[:2]
    meetergo_sandbox.book_elsewhere(first)
    call_command("meetergo_sync", "--kind", "full")
    assert Appointment.objects.filter(start=first).exists()
    assert not Event.objects.filter(dispatched_at=None).exists()

    meetergo_sandbox.book_elsewhere(second)
    call_command("meetergo_sync")

    [news] = Event.objects.filter(dispatched_at=None)
    assert news.appointment.start == second


def test_sync_prints_nothing_with_verbosity_0(meetergo_sandbox, capsys):
    call_command("meetergo_sync", verbosity=0)

    assert capsys.readouterr().out == ""


def test_sync_reports_a_refused_credential(meetergo_sandbox):
    """The message names it, and the exit code is not 0."""
    meetergo_sandbox.expire_key()

    with pytest.raises(CommandError, match="API key has expired"):
        call_command("meetergo_sync")


def test_the_webhook_is_registered_listed_and_removed(meetergo_sandbox, capsys):
    call_command("meetergo_webhooks", "ensure")
    call_command("meetergo_webhooks", "list")
    assert "1 of 6 webhooks are in use" in capsys.readouterr().out

    call_command("meetergo_webhooks", "remove")
    call_command("meetergo_webhooks", "list")
    assert "0 of 6 webhooks are in use" in capsys.readouterr().out


def test_registering_without_a_free_webhook_is_explained(meetergo_sandbox):
    for number in range(6):
        meetergo_sandbox.client().create_webhook(f"https://other{number}.example/hook", ["booking_created"])

    with pytest.raises(CommandError, match="all 6 webhooks are in use"):
        call_command("meetergo_webhooks", "ensure")


def test_a_token_without_the_account_scope_is_explained(meetergo_sandbox, settings):
    from django_meetergo.sandbox.seed import SCHEDULING_TOKEN

    settings.MEETERGO = {**settings.MEETERGO, "API_KEY": SCHEDULING_TOKEN}

    with pytest.raises(CommandError, match="account"):
        call_command("meetergo_webhooks", "ensure")


def test_a_missing_site_url_is_named(meetergo_sandbox, settings):
    settings.MEETERGO = {**settings.MEETERGO, "SITE_URL": ""}

    with pytest.raises(CommandError, match="SITE_URL"):
        call_command("meetergo_webhooks", "ensure")


def test_a_check_that_finds_drift_exits_with_1_and_names_the_row(meetergo_sandbox, capsys):
    call_command("meetergo_sync")
    call_command("meetergo_sync", "--check")
    row = Appointment.objects.active().first()
    Appointment.objects.filter(pk=row.pk).update(location="Elsewhere")

    with pytest.raises(CommandError) as failure:
        call_command("meetergo_sync", "--check")

    assert failure.value.returncode == 1
    assert f"differs {row.remote_id}: location" in capsys.readouterr().out


@pytest.fixture
def two_connections(meetergo_sandbox, settings):
    """The first connection's key is refused, the second one works."""
    working = settings.MEETERGO["API_KEY"]
    settings.MEETERGO = {
        **settings.MEETERGO,
        "API_KEY": "rgo-unknown",
        "CONNECTIONS": {"clinic-b": {"API_KEY": working}},
    }


@pytest.mark.parametrize(
    "arguments",
    [["meetergo_sync"], ["meetergo_sync", "--check"], ["meetergo_webhooks", "ensure"]],
    ids=" ".join,
)
def test_a_connection_that_fails_does_not_stop_the_next_one(two_connections, capsys, arguments):
    """The exit code says that something failed, the message says which connection."""
    with pytest.raises(CommandError, match="default") as failure:
        call_command(*arguments)

    assert failure.value.returncode == 1
    assert "clinic-b: " in capsys.readouterr().out + str(failure.value)


@pytest.mark.parametrize("name", ["meetergo_sync", "meetergo_webhooks"])
def test_an_unforeseen_error_of_a_connection_does_not_stop_the_next_one(
    two_connections, monkeypatch, capsys, name
):
    """What nobody has thought of is logged with its traceback, and the command goes on."""
    module = import_module(f"django_meetergo.management.commands.{name}")
    build = module.build_client

    def fail_first(connection, priority):
        if connection == "default":
            raise ZeroDivisionError("an odd answer")
        return build(connection, priority)

    monkeypatch.setattr(module, "build_client", fail_first)
    arguments = ["ensure"] if name == "meetergo_webhooks" else []

    with pytest.raises(CommandError, match=r"default: .*an odd answer") as failure:
        call_command(name, *arguments)

    assert failure.value.returncode == 1
    assert "clinic-b: " in capsys.readouterr().out


@pytest.mark.parametrize("command", ["meetergo_sync", "meetergo_doctor"])
def test_an_unknown_connection_is_named_with_the_known_ones(meetergo_sandbox, command):
    """No traceback."""
    with pytest.raises(CommandError, match=r"no connection 'nope'. Known: default"):
        call_command(command, "--connection", "nope")


def test_outdated_webhooks_are_listed_as_ours(meetergo_sandbox, settings, capsys):
    """They are not called somebody else's."""
    call_command("meetergo_webhooks", "ensure")
    settings.MEETERGO = {**settings.MEETERGO, "SITE_URL": "https://new.example"}

    call_command("meetergo_webhooks", "list")

    assert "this site, outdated" in capsys.readouterr().out


@pytest.mark.django_db(transaction=True)  # a failed statement spoils what follows in its transaction
@pytest.mark.parametrize(
    "command",
    ["meetergo_tick", "meetergo_sync", "meetergo_doctor", "meetergo_prune", "meetergo_export j@x.de"],
)
def test_a_missing_migration_is_named(meetergo_sandbox, monkeypatch, command):
    """Instead of the SQL that failed."""
    for model in (Booking, MeetingType, Connection):
        monkeypatch.setattr(model._meta, "db_table", "no_such_table")
    with pytest.raises(DatabaseError, match="no_such_table"):
        call_command(*command.split())

    monkeypatch.setattr(MigrationRecorder, "applied_migrations", lambda recorder: {})
    with pytest.raises(CommandError, match=r"run manage\.py migrate. .*no_such_table"):
        call_command(*command.split())


def test_a_loop_survives_a_database_that_is_away_for_a_while(monkeypatch, capsys):
    """A supervisor gives up what ends again and again within seconds. A single run reports it and fails."""
    rounds = []

    def run_due(now):
        rounds.append(now)
        if len(rounds) < 3:
            raise OperationalError("the server closed the connection")
        if len(rounds) == 4:
            raise KeyboardInterrupt
        return {}

    monkeypatch.setattr(scheduler, "run_due", run_due)
    with pytest.raises(KeyboardInterrupt):
        call_command("meetergo_tick", loop=True, every=0.001)
    assert len(rounds) == 4
    assert "The database cannot be read or written" in capsys.readouterr().err

    rounds.clear()
    with pytest.raises(CommandError, match="The database cannot be read or written"):
        call_command("meetergo_tick")


@pytest.mark.parametrize("every", [0, -1, float("nan"), float("inf")])
def test_a_loop_without_a_sensible_pause_is_refused(every):
    with pytest.raises(CommandError, match="--every"):
        call_command("meetergo_tick", loop=True, every=every, verbosity=0)


def test_a_sandbox_that_cannot_be_started_is_an_error():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        for port in (taken.getsockname()[1], 99999, -1):
            with pytest.raises(CommandError):
                call_command("meetergo_sandbox", port=port)


def test_a_folder_for_records_that_cannot_be_written_is_named(meetergo_sandbox):
    with pytest.raises(CommandError, match="cannot be written"):
        call_command("meetergo_doctor", "--record", "/dev/null/answers")
