"""P1, P3, P4: writing a first sync, reading an unchanged one, and memory.

The floor of a first sync is the ORM's own bulk insert of the same rows into the same tables; that of an
unchanged one is the single SELECT that must be made, and parsing the page. What this site has booked must
cost an unchanged sync little more than what was booked elsewhere.
"""

from __future__ import annotations

import argparse
import sys
import tracemalloc
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from math import log
from typing import Any

from django.core.management import call_command
from django.db import connection, transaction

from benchmarks.database import empty_database
from benchmarks.figures import Goal, measure_cpu, report
from django_meetergo.models import Appointment, Attendee, Booking, Event, Host, MeetingType
from django_meetergo.remote.payloads import AppointmentDocument, parse_appointments
from django_meetergo.sandbox.app import Sandbox
from django_meetergo.sandbox.documents import appointment_document
from django_meetergo.sandbox.scenarios import add_appointments
from django_meetergo.services.booking.outcomes import adopt_documents
from django_meetergo.services.matching import REFERENCE_KEY
from django_meetergo.services.mirror.appointments import record_appointments

PAGE = 100
#: What was booked by this site, as a ratio to what was booked elsewhere: a row more is read.
OWN = 1.5
Through = Appointment.hosts.through


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks sync")
    parser.add_argument("--n", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory", action="store_true", help="how memory and CPU grow, instead of P1 and P3")
    chosen = parser.parse_args(arguments)
    with empty_database():
        sys.stdout.write(f"{connection.vendor}, {chosen.n} appointments, {chosen.rounds} rounds\n")
        pages = make_pages(chosen.n)
        return show_growth(pages) if chosen.memory else show_time(pages, chosen.rounds, chosen.n)


def make_pages(number: int) -> list[dict[str, Any]]:
    """Return pages of the appointment list as the sandbox sends them, with a reference for each attendee."""
    sandbox = Sandbox(rate_limit=False)
    add_appointments(sandbox.state, number)
    documents = [
        appointment_document(
            one, sandbox.state.meeting_types[one.meeting_type_id], sandbox.state.get_hosts(one.host_ids)
        )
        for one in sandbox.state.appointments.values()
    ][:number]
    for document in documents:
        for attendee in document["attendees"]:
            attendee["notes"] = {REFERENCE_KEY: make_reference(attendee["id"])}
    return [
        {"appointments": documents[first : first + PAGE], "total": number} for first in range(0, number, PAGE)
    ]


def make_reference(attendee_id: str) -> str:
    return f"MG-{sha256(attendee_id.encode()).hexdigest()[:20].upper()}"


def store_bookings() -> None:
    """Let this site have booked everything that has been synced."""
    now = datetime.now(UTC)
    kind = MeetingType.objects.create(remote_id="own", slug="own", duration=30)
    Booking.objects.bulk_create(
        Booking(
            meeting_type=kind, attendee=attendee, reference=make_reference(attendee.remote_id or ""),
            start=attendee.appointment.start, duration=30, state="confirmed", created_at=now,
            idempotency_key=str(attendee.pk), content_digest=str(attendee.pk),
        )
        for attendee in Attendee.objects.select_related("appointment").defer("appointment__raw")
    )  # fmt: skip


def read(pages: list[dict[str, Any]]) -> Iterator[tuple[AppointmentDocument, ...]]:
    for page in pages:
        yield parse_appointments(page)


def clear() -> None:
    call_command("flush", verbosity=0, interactive=False)


def sync(pages: list[dict[str, Any]]) -> None:
    now = datetime.now(UTC)
    for documents in read(pages):
        adopt_documents(connection="default", documents=documents, now=now)
        record_appointments(connection="default", documents=documents, now=now)


def insert_in_bulk(pages: list[dict[str, Any]]) -> None:
    """Insert the same rows by the ORM's bulk insert, without any decision."""
    now = datetime.now(UTC)
    hosts: dict[str, Host] = {}
    for documents in read(pages):
        with transaction.atomic():
            for document in documents:
                for host in document.hosts:
                    if host.id not in hosts:
                        hosts[host.id] = Host.objects.create(remote_id=host.id, name=host.name)
            rows = [
                Appointment(
                    remote_id=one.id, start=one.start, end=one.end, secret=one.secret, raw=one.raw,
                    digest=one.digest, synced_at=now, remote_updated_at=one.updated_at,
                )
                for one in documents
            ]  # fmt: skip
            Appointment.objects.bulk_create(rows)
            Through.objects.bulk_create(
                Through(appointment_id=row.pk, host_id=hosts[host_id].pk)
                for row, one in zip(rows, documents, strict=True)
                for host_id in one.host_ids
            )
            attendees = [
                Attendee(appointment=row, remote_id=who.id, email=who.email, first_name=who.first_name)
                for row, one in zip(rows, documents, strict=True)
                for who in one.attendees
            ]
            Attendee.objects.bulk_create(attendees)
            Event.objects.bulk_create(
                Event(
                    key=f"attendee:{one.pk}:booked", kind="appointment_booked", attendee=one, created_at=now
                )
                for one in attendees
            )


def look_up(pages: list[dict[str, Any]]) -> None:
    """Do what an unchanged page needs at least."""
    for documents in read(pages):
        ids = [document.id for document in documents]
        stored = dict(Appointment.objects.filter(remote_id__in=ids).values_list("remote_id", "digest"))
        for document in documents:
            stored.get(document.id) == document.digest  # noqa: B015 - the comparison is the work


def show_time(pages: list[dict[str, Any]], rounds: int, number: int) -> int:
    first, bulk, again, select, own = [], [], [], [], []
    for _ in range(rounds):
        clear()
        bulk.append(measure_cpu(lambda: insert_in_bulk(pages)) / number * 1e6)
        clear()
        first.append(measure_cpu(lambda: sync(pages)) / number * 1e6)
        again.append(measure_cpu(lambda: sync(pages)) / number * 1e6)
        select.append(measure_cpu(lambda: look_up(pages)) / number * 1e6)
        store_bookings()
        own.append(measure_cpu(lambda: sync(pages)) / number * 1e6)
    return report(
        [
            Goal("P1 first sync, CPU an object", "us", first, bulk, 1.5),
            Goal("P3 unchanged sync, CPU an object", "us", again, select, 1 / 0.6),
            Goal("P3 the same, booked by this site", "us", own, again, OWN),
        ]
    )


def show_growth(pages: list[dict[str, Any]]) -> int:
    """P4: peak memory of a sync besides the pages, and the growth of its CPU time with their number.

    An exponent of 1 means that a hundred times as many objects cost a hundred times as much.
    """
    few = pages[: max(len(pages) // 100, 1)]
    small, whole = measure_first(few), measure_first(pages)
    exponent = log(whole / small) / log(len(pages) / len(few))
    mebibytes = measure_peak(pages)
    sys.stdout.write(f"P4 memory at its peak: +{mebibytes:.1f} MiB, goal <= +12\n")
    sys.stdout.write(f"P4 CPU, {len(few)} to {len(pages)} pages: exponent {exponent:.2f}, goal <= 1.08\n")
    return 0 if mebibytes <= 12 and exponent <= 1.08 else 1


def measure_first(pages: list[dict[str, Any]]) -> float:
    """Return the CPU seconds of a first sync; of a short one, the least of three."""
    seconds = []
    for _ in range(3 if len(pages) < 100 else 1):
        clear()
        seconds.append(measure_cpu(lambda: sync(pages)))
    return min(seconds)


def measure_peak(pages: list[dict[str, Any]]) -> float:
    """Return the peak memory of a first sync in MiB."""
    clear()
    tracemalloc.start()
    sync(pages)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak / 2**20
