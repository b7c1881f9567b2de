"""The proof for adopters holds for this app, notices when it does not, and runs nowhere else."""

from __future__ import annotations

from contextlib import nullcontext

import pytest

from django_meetergo.models import Booking
from django_meetergo.testing import proof


@pytest.mark.django_db
def test_nothing_is_double_or_lost():
    """And trouble was caused."""
    report = proof.run(24, seed=3)
    assert report.is_clean, report
    assert report.bookings == Booking.objects.count() == 24
    assert sum(number for trouble, number in report.trouble.items() if trouble) > 6
    assert "Double: 0  Silently lost: 0  Undecided: 0" in proof.print_report(report)


@pytest.mark.django_db
def test_a_site_that_resends_lost_requests_is_noticed():
    report = proof.run(24, seed=3, breaks_promise=True)
    assert report.doubles
    assert not report.is_clean


@pytest.mark.parametrize("given", [{}, {"SANDBOX": False}, None])
def test_it_refuses_a_real_site(settings, capsys, given):
    """Before a database is touched."""
    settings.MEETERGO = given
    assert proof.main(["--count", "1"]) == 2
    assert 'MEETERGO["SANDBOX"] is off' in capsys.readouterr().err


def test_an_error_of_the_proof_itself_is_no_broken_promise(monkeypatch, capsys):
    def fail(*args, **options):
        raise IndexError("no starts are left")

    monkeypatch.setattr(proof, "scratch_database", nullcontext)
    monkeypatch.setattr(proof, "run", fail)
    assert proof.main(["--count", "1"]) == 2
    assert "The proof was not finished." in capsys.readouterr().err


@pytest.mark.django_db
def test_a_site_without_pages_can_be_proved(settings):
    settings.ROOT_URLCONF = "tests.api.bare_urls"
    assert proof.run(6, seed=3).is_clean


def test_a_run_without_bookings_proves_nothing():
    assert not proof.Report().is_clean
