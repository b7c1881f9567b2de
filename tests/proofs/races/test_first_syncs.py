"""Two first syncs of one company at the same moment, each with a credential of its own."""

from __future__ import annotations

import threading

import pytest
from django.utils import timezone

from django_meetergo.models import Host, MeetingType
from django_meetergo.services.clients import build_client
from django_meetergo.services.mirror import directory as mirror
from django_meetergo.services.sync.directory import sync_directory


@pytest.fixture
def company(live_meetergo_sandbox, settings):
    """A site with two credentials of the same company."""
    second = {"API_KEY": settings.MEETERGO["API_KEY"]}
    settings.MEETERGO = {**settings.MEETERGO, "CONNECTIONS": {"second": second}}
    return live_meetergo_sandbox


def test_two_first_syncs_of_one_company_store_it_once(company, at_once, monkeypatch):
    """Both are about to insert the same hosts; neither fails."""
    both_are_ready = threading.Barrier(2, timeout=20)
    save, met = mirror.save_rows, threading.local()

    def save_together(model, rows, columns):
        if model is Host and not hasattr(met, "other"):
            met.other = True
            both_are_ready.wait()
        return save(model, rows, columns)

    monkeypatch.setattr(mirror, "save_rows", save_together)

    def sync(connection):
        client = build_client(connection, "sync")
        return sync_directory(connection=connection, client=client, now=timezone.now())

    at_once(sync, ["default", "second"])

    for model in (Host, MeetingType):
        ids = list(model.objects.values_list("remote_id", flat=True))
        assert len(ids) == len(set(ids)) > 0
