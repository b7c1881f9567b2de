"""Checks that call meetergo: credential, webhooks, drift, an empty day, and a test booking."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import partial
from time import sleep
from zoneinfo import ZoneInfo

from django.utils.translation import gettext as _

from django_meetergo.conf import get_settings
from django_meetergo.exceptions import (
    CredentialRefused,
    InvalidRequest,
    MeetergoError,
    PermissionRefused,
    RemoteError,
)
from django_meetergo.models import Appointment, Attendee, Booking, Connection, MeetingType
from django_meetergo.remote.client import MeetergoClient
from django_meetergo.services.availability.slots import list_slots
from django_meetergo.services.booking.book import AttendeeData, BookingRequest, submit_request
from django_meetergo.services.changes.requests import cancel_appointment
from django_meetergo.services.clients import record_contact
from django_meetergo.services.companies import find_covering
from django_meetergo.services.health import BAD, FAIR, GOOD, UNKNOWN, Fact
from django_meetergo.services.matching import list_references
from django_meetergo.services.sync.appointments import sync_appointment
from django_meetergo.services.sync.drift import find_drift
from django_meetergo.services.webhooks.events import REREAD_EVENTS
from django_meetergo.services.webhooks.registration import WEBHOOK_PLACES, build_endpoint, list_own_webhooks


def check_service(*, connection: str, client: MeetergoClient, now: datetime) -> list[Fact]:
    """Return the facts that need a call: the key, the registered webhook, the mirror.

    A credential that was refused is tried again.
    """
    if client.circuit and client.circuit.refused_since:
        client.circuit.reset()
    facts = [check_acting_user(client)]
    if facts[0].level != BAD:
        facts += [check_webhooks(connection, client), *check_drift(connection, client, now)]
    record_contact(connection=connection, client=client)
    return facts


def check_acting_user(client: MeetergoClient) -> Fact:
    fact = partial(Fact, name="answers", label=_("meetergo answers"))
    try:
        user = client.get_current_user()
    except PermissionRefused:
        text = _("yes; the token is limited and may not say whose it is")
        return fact(level=GOOD, text=text)
    except CredentialRefused as error:
        advice = _("Make a new key at my.meetergo.com and put it into the settings.")
        return fact(level=BAD, text=error.message, advice=advice)
    except RemoteError as error:
        text, advice = _("no"), _("Check BASE_URL, the network and status.meetergo.com.")
        return fact(level=BAD, text=text, advice=advice, details=(str(error),))
    text = _("yes, as an admin of the company") if user.is_admin else _("yes")
    return fact(level=GOOD, text=text)


def check_webhooks(connection: str, client: MeetergoClient) -> Fact:
    fact = partial(Fact, name="webhook_entry", label=_("Our address in meetergo's list"))
    ensure = _("Run manage.py meetergo_webhooks ensure.")
    if covering := find_covering(connection):
        text = _("not needed: connection %(name)s reads the same") % {"name": covering}
        return fact(level=GOOD, text=text)
    try:
        endpoint = build_endpoint(connection)
        hooks = client.list_webhooks()
    except InvalidRequest as error:
        return fact(level=FAIR, text=str(error))
    except PermissionRefused:
        advice = _("Give the token the area “account” if this site should register itself.")
        return fact(level=UNKNOWN, text=_("the token may not read the webhooks"), advice=advice)
    except RemoteError as error:
        return fact(level=FAIR, text=str(error))
    own = next((hook for hook in hooks if hook.endpoint == endpoint), None)
    outdated = [hook for hook in list_own_webhooks(connection, hooks) if hook.endpoint != endpoint]
    known = Connection.objects.filter(connection=connection)
    # The id of an outdated entry stays, since ``ensure`` recognises the entry by it.
    known.update(webhooks_used=len(hooks), **({"webhook_remote_id": own.id} if own else {}))
    words = {"used": len(hooks), "places": WEBHOOK_PLACES}
    if outdated:
        text = _("registered with an outdated address; %(used)d of %(places)d in use") % words
        return fact(level=FAIR, text=text, advice=ensure)
    if own is None:
        text = _("not registered; %(used)d of %(places)d in use") % words
        return fact(level=FAIR, text=text, advice=ensure)
    if missing := set(REREAD_EVENTS) - set(own.event_types):
        text = _("registered without %(events)s") % {"events": ", ".join(sorted(missing))}
        return fact(level=FAIR, text=text, advice=ensure)
    if not endpoint.startswith("https://") and not get_settings().SANDBOX:
        advice = _("Set SITE_URL to the https address: the path holds a secret.")
        return fact(level=FAIR, text=_("registered with plain http"), advice=advice)
    return fact(level=GOOD, text=_("registered; %(used)d of %(places)d in use") % words)


def check_drift(connection: str, client: MeetergoClient, now: datetime) -> Iterator[Fact]:
    """Compare again. ``health.describe_drift`` reports the result, so only a failure is returned here."""
    try:
        find_drift(connection=connection, client=client, now=now)
    except RemoteError as error:
        yield Fact(name="drift_now", label=_("Differences to meetergo"), level=FAIR, text=str(error))


@dataclass(kw_only=True)
class DayReport:
    """Why a day offers what it offers: reasons of this site, free starts, and what blocks the others."""

    own_reasons: list[str] = field(default_factory=list)
    free: list[datetime] = field(default_factory=list)
    blocked: dict[str, list[datetime]] = field(default_factory=dict)
    error: str = ""

    @property
    def nothing_offered(self) -> bool:
        """Whether meetergo named no start, free or blocked: the day is outside the working hours."""
        return not (self.free or self.blocked or self.error)


def explain_day(
    *, meeting_type: MeetingType, day: date, zone: ZoneInfo, client: MeetergoClient, now: datetime
) -> DayReport:
    """Return what meetergo offers on one day, and what blocks each other start."""
    report = DayReport(own_reasons=list(list_own_reasons(meeting_type, day, zone, now)))
    start = datetime(day.year, day.month, day.day, tzinfo=zone)
    following = day + timedelta(days=1)
    end = datetime(following.year, following.month, following.day, tzinfo=zone)
    try:
        answer = client.get_booking_availability(
            meeting_type.remote_id,
            start,
            end,
            host_ids=meeting_type.list_host_ids(),
            queue_id=meeting_type.queue_id,
            calculation_method=meeting_type.calculation_method,
            refresh_cache=True,
            troubleshoot=True,
        )
    except RemoteError as error:
        report.error = str(error)
        return report
    report.free = [slot.start for slot in answer.slots if start <= slot.start < end]
    for blocked in answer.blocked:
        if start <= blocked.start < end:
            for reason in blocked.reasons:
                report.blocked.setdefault(reason, []).append(blocked.start)
    return report


def list_own_reasons(meeting_type: MeetingType, day: date, zone: ZoneInfo, now: datetime) -> Iterator[str]:
    if meeting_type.missing_since:
        yield _("meetergo no longer lists this meeting type.")
    if not meeting_type.enabled:
        yield _("The meeting type is switched off at meetergo.")
    if meeting_type.is_booked_at_meetergo:
        yield _("It can only be booked on meetergo's own page.")
    if not meeting_type.host_ids and not meeting_type.queue_id:
        yield _("Neither a host nor a queue is known for it: run meetergo_sync.")
    if day < now.astimezone(zone).date():
        yield _("The day has passed.")


@dataclass(kw_only=True)
class Probe:
    """The steps of a test booking and its cancel, with what each showed."""

    steps: list[tuple[str, str]] = field(default_factory=list)
    failed: bool = False

    def note(self, step: str, result: str, *, failed: bool = False) -> None:
        self.steps.append((step, result))
        self.failed = self.failed or failed


MAX_LIST_READS = 5
LIST_READ_DELAY = 1.0


def probe(
    *,
    meeting_type: MeetingType,
    email: str,
    client: MeetergoClient,
    now: datetime,
    wait: Callable[[float], None] = sleep,
) -> Probe:
    """Book the last free slot of the next two weeks without mails, check the answers, and cancel it."""
    report = Probe()
    if meeting_type.confirmation not in {MeetingType.Confirmation.NONE, MeetingType.Confirmation.UNKNOWN}:
        text = _("somebody must confirm its bookings, so a test would be left behind; choose another type")
        report.note(_("meeting type"), text, failed=True)
        return report
    found = list_slots(
        meeting_type=meeting_type, start=now, end=now + timedelta(days=14), client=client, now=now
    )
    if not found.times:
        report.note(_("free times"), _("none in two weeks; see --why-no-slots"), failed=True)
        return report
    person = AttendeeData(email=email, first_name="Test", last_name="meetergo_doctor")
    try:
        booking = submit_request(
            BookingRequest(
                meeting_type=meeting_type,
                start=found.times[-1].start,
                attendee=person,
                skip_notifications=True,
            ),
            client=client,
            now=now,
        )
    except MeetergoError as error:
        report.note(_("booking"), str(error), failed=True)
        return report
    words = f"{booking.get_state_display()} {booking.message or booking.reason}".strip()
    if booking.attendee is None:
        report.note(_("booking"), words, failed=True)
        return report
    report.note(_("booking"), words)
    appointment = booking.attendee.appointment
    check_reference_echo(report, booking, appointment, client, now)
    check_listed(report, booking, appointment, client, wait)
    cancel_probe(report, booking.attendee, client, now)
    return report


def check_reference_echo(
    report: Probe, booking: Booking, appointment: Appointment, client: MeetergoClient, now: datetime
) -> None:
    """Note whether a read returns our reference, and whether the secret stays the same."""
    secret = appointment.secret
    try:
        document = client.get_appointment(appointment.remote_id)
    except RemoteError as error:
        report.note(_("read back"), str(error), failed=True)
        return
    echoed = booking.reference in list_references(document)
    report.note(_("reference given back"), _("yes") if echoed else _("no"))
    if not document.secret:
        text = _("not contained in the answer")
    else:
        text = _("the same") if document.secret == secret else _("another one: meetergo changes it")
    report.note(_("secret"), text)
    sync_appointment(appointment=appointment, client=client, now=now)


def check_listed(
    report: Probe,
    booking: Booking,
    appointment: Appointment,
    client: MeetergoClient,
    wait: Callable[[float], None],
) -> None:
    """Note after how many seconds the lists show a new appointment."""
    minute = timedelta(minutes=1)
    hosts = booking.meeting_type.host_ids or [""]
    for number in range(MAX_LIST_READS):
        try:
            page = client.list_appointments(
                start=booking.start - minute, end=booking.start + minute, user_id=hosts[0]
            )
        except RemoteError as error:
            report.note(_("list"), str(error))
            return
        if appointment.remote_id in {one.id for one in page}:
            seconds = round(number * LIST_READ_DELAY)
            report.note(_("list"), _("shows it after %(seconds)d s") % {"seconds": seconds})
            return
        wait(LIST_READ_DELAY)
    report.note(_("list"), _("does not show it yet"))


def cancel_probe(report: Probe, attendee: Attendee, client: MeetergoClient, now: datetime) -> None:
    """Cancel the test: in a group its own place only, since other people may have booked the same time."""
    try:
        change = cancel_appointment(
            appointment=attendee.appointment,
            attendee=attendee,
            client=client,
            now=now,
            reason="meetergo_doctor --probe",
        )
    except MeetergoError as error:
        report.note(_("cancel"), str(error), failed=True)
        return
    done = change.state == change.State.DONE
    report.note(_("cancel"), f"{change.get_state_display()} {change.message}".strip(), failed=not done)
