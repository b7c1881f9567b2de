"""What the commands say."""

from __future__ import annotations

import pytest
from django.core.management import CommandError, call_command

from django_meetergo.models import Appointment, MeetingType

pytestmark = pytest.mark.django_db


def test_sync_brings_everything_and_counts_it(meetergo_sandbox, capsys):
    """Types, hosts and appointments arrive with one command."""
    call_command("meetergo_sync", "--kind", "full")

    out = capsys.readouterr().out
    assert MeetingType.objects.count() == 6
    assert f"{Appointment.objects.count()} written" in out


def test_sync_is_silent_under_cron(meetergo_sandbox, capsys):
    """``--verbosity 0`` says nothing when all is well."""
    call_command("meetergo_sync", verbosity=0)

    assert capsys.readouterr().out == ""


def test_sync_says_what_stopped_it(meetergo_sandbox):
    """A refused credential is named, and the exit code is not 0."""
    meetergo_sandbox.expire_key()

    with pytest.raises(CommandError, match="API key has expired"):
        call_command("meetergo_sync")


def test_webhooks_are_listed_entered_and_removed(meetergo_sandbox, capsys):
    """The list says how many of the six places are used."""
    call_command("meetergo_webhooks", "ensure")
    call_command("meetergo_webhooks", "list")
    assert "1 of 6 places are used" in capsys.readouterr().out

    call_command("meetergo_webhooks", "remove")
    call_command("meetergo_webhooks", "list")
    assert "0 of 6 places are used" in capsys.readouterr().out


def test_a_full_list_is_explained(meetergo_sandbox):
    """Which fix there is, is said in the sentence."""
    for number in range(6):
        meetergo_sandbox.client().create_webhook(f"https://other{number}.example/hook", ["booking_created"])

    with pytest.raises(CommandError, match="6 places"):
        call_command("meetergo_webhooks", "ensure")


def test_a_token_without_the_right_area_is_explained(meetergo_sandbox, settings):
    """403 is turned into what to do."""
    from django_meetergo.sandbox.seed import SCHEDULING_TOKEN

    settings.MEETERGO = {**settings.MEETERGO, "API_KEY": SCHEDULING_TOKEN}

    with pytest.raises(CommandError, match="account"):
        call_command("meetergo_webhooks", "ensure")


def test_a_missing_setting_is_named(meetergo_sandbox, settings):
    """Without an address nobody can call us."""
    settings.MEETERGO = {**settings.MEETERGO, "SITE_URL": ""}

    with pytest.raises(CommandError, match="SITE_URL"):
        call_command("meetergo_webhooks", "ensure")


def test_drift_is_an_exit_code(meetergo_sandbox, capsys):
    """Equal is quiet success; a difference names the row and fails."""
    call_command("meetergo_sync")
    call_command("meetergo_sync", "--check")
    row = Appointment.objects.active().first()
    Appointment.objects.filter(pk=row.pk).update(location="Elsewhere")

    with pytest.raises(CommandError) as failure:
        call_command("meetergo_sync", "--check")

    assert failure.value.returncode == 1
    assert f"differs {row.remote_id}: location" in capsys.readouterr().out
