"""The clinic's day around the present hour, so that its front desk has something to do.

What the service knows is made in the sandbox: appointments that are over, present and ahead, and a cancelled
one. What this site does itself it does by its own services: a request that waits for a confirmation, one
whose answer is lost, and who came.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import requests
from django.core.management import call_command
from django.utils import timezone

from django_meetergo.models import Appointment, Attendee, Booking
from django_meetergo.sandbox.seed import ANNA, BEN, CLARA, CONSULTATION, GROUP_CLASS, INTRO_CALL
from django_meetergo.services import AttendeeData, book_appointment, list_slots

HALF_HOUR = timedelta(minutes=30)
#: Half hours from the present one, host, meeting type and attendee.
AROUND_NOW = (
    (-5, ANNA, INTRO_CALL, "Mara Vogel"),
    (-3, ANNA, INTRO_CALL, "Henri Dubois"),
    (-1, ANNA, INTRO_CALL, "Leyla Demir"),
    (2, ANNA, INTRO_CALL, "Oskar Lindner"),
    (4, ANNA, INTRO_CALL, "Greta Holm"),
    (-4, BEN, CONSULTATION, "Samuel Adeyemi"),
    (0, BEN, CONSULTATION, "Frieda Brandt"),
    (3, BEN, CONSULTATION, "Luca Ferrari"),
    (1, CLARA, GROUP_CLASS, "Agnes Wolf"),
)
#: Who has cancelled, who came, and who did not.
CANCELLED, CAME, NO_SHOW = "Greta Holm", "Mara Vogel", "Samuel Adeyemi"
#: A meeting type whose bookings a host confirms, and who waits for it.
WAITING_TYPE, WAITING = "second-opinion", "Nora Stein"
#: Who books while the answer is lost. The sandbox books it after so many seconds, and the site then finds it.
LOST, LOST_SECONDS = "Peter Ahrens", 90


@dataclass(frozen=True)
class SandboxControl:
    """The sandbox's control routes."""

    address: str

    def post(self, route: str, /, **body: Any) -> Any:
        response = requests.post(f"{self.address}/_sandbox/{route}", json=body, timeout=10)
        response.raise_for_status()
        return response.json() if response.content else None


def add_today(sandbox: str) -> None:
    """Fill the hours around now, and store what the service then knows."""
    control = SandboxControl(sandbox)
    for name, appointment_id in add_appointments(control, timezone.now()):
        if name == CANCELLED:
            control.post(f"appointments/{appointment_id}/cancel")
    call_command("meetergo_sync", verbosity=0)
    record_attendance(CAME, Appointment.Attendance.CAME)
    record_attendance(NO_SHOW, Appointment.Attendance.NO_SHOW)
    book(WAITING, WAITING_TYPE)
    # In a database that was kept, the last one may still be open.
    if not Booking.objects.open().filter(email=build_email(LOST)).exists():
        control.post("faults", route="POST /v4/booking", kind="delayed_apply", seconds=LOST_SECONDS)
        book(LOST, "intro-call")


def add_appointments(control: SandboxControl, now: datetime) -> Iterator[tuple[str, str]]:
    """Add the appointments at the service; yield the name and the id of each."""
    present = now.replace(minute=now.minute // 30 * 30, second=0, microsecond=0)
    for half_hours, host_id, type_id, name in AROUND_NOW:
        start = (present + half_hours * HALF_HOUR).isoformat()
        made = control.post("slots/occupy", hostId=host_id, start=start, meetingTypeId=type_id, name=name)
        yield name, made["appointmentId"]


def record_attendance(name: str, attendance: Appointment.Attendance) -> None:
    first, last = name.split()
    attended = Attendee.objects.filter(first_name=first, last_name=last).values_list("appointment", flat=True)
    Appointment.objects.filter(pk__in=list(attended)).update(attendance=attendance)


def build_email(name: str) -> str:
    return f"{name.replace(' ', '.')}@example.com".lower()


def book(name: str, slug: str) -> None:
    """Book the first free time of a meeting type on this site."""
    first, last = name.split()
    now = timezone.now()
    found = list_slots(meeting_type=slug, start=now, end=now + timedelta(days=14))
    attendee = AttendeeData(
        email=build_email(name),
        first_name=first,
        last_name=last,
        timezone="Europe/Berlin",
    )
    book_appointment(meeting_type=slug, start=found.times[0].start, attendee=attendee)
