"""The facts behind the health page and the doctor: what is, how bad it is, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from time import sleep
from zoneinfo import ZoneInfo

from django.core.cache import caches
from django.core.exceptions import ImproperlyConfigured
from django.db.models import Max, Min
from django.utils.timesince import timesince
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from django_meetergo.conf import get_connection, get_settings
from django_meetergo.exceptions import (
    CredentialRefused,
    InvalidRequest,
    MeetergoError,
    PermissionRefused,
    RemoteError,
)
from django_meetergo.fields import UnreadableText
from django_meetergo.models import (
    Account,
    Appointment,
    Booking,
    Event,
    MeetingType,
    SyncRun,
    WebhookDelivery,
)
from django_meetergo.remote.client import MeetergoClient
from django_meetergo.services import availability, bookings, changes, sync, webhooks, work
from django_meetergo.services.clients import client_for, record_contact

GOOD, FAIR, BAD, UNTOLD = "good", "fair", "bad", "untold"

#: Days before the end of a key at which it is told, and at which it is pressing.
EXPIRY_SOON, EXPIRY_NOW = 14, 3
#: A row that is due for so long is late; for so long, nobody works.
LATE, STUCK = timedelta(minutes=2), timedelta(minutes=15)
#: Clocks may differ by so many seconds.
SKEW = 30
WEBHOOK_PLACES = 6
#: An event that failed so often is not told by waiting.
MANY_TRIES = 5


@dataclass(frozen=True, kw_only=True)
class Fact:
    """One line: a stable name, how bad it is, what is known, and what to do about it."""

    name: str
    label: str
    level: str
    text: str
    advice: str = ""


def judge(facts: list[Fact]) -> str:
    """The worst of them. What is not known is not bad."""
    levels = {fact.level for fact in facts}
    return next((level for level in (BAD, FAIR) if level in levels), GOOD)


def collect_facts(*, connection: str, now: datetime) -> list[Fact]:
    """What this site knows by itself. No call."""
    account = Account.objects.filter(connection=connection).first()
    checks: list[Callable[[], Fact]] = [
        lambda: tell_credential(connection, now),
        lambda: tell_circuit(connection, account, now),
        lambda: tell_keys(account),
        lambda: tell_poll(connection, now),
        lambda: tell_delivery(connection, account, now),
        lambda: tell_webhooks(account),
        lambda: tell_budget(connection),
        lambda: tell_unknowns(connection),
        lambda: tell_due(now),
        lambda: tell_dead(connection),
        lambda: tell_untold(connection),
        lambda: tell_missing(connection),
        lambda: tell_drift(account),
        lambda: tell_skew(account),
    ]
    return [check() for check in checks]


# What we know by ourselves


def tell_credential(connection: str, now: datetime) -> Fact:
    name, label = "credential", _("Credential")
    try:
        given = get_connection(connection)
    except ImproperlyConfigured as error:
        return Fact(
            name=name, label=label, level=BAD, text=str(error), advice=_("Set the key in the settings.")
        )
    kind = _("platform key") if given.api_key.startswith("ak_live:") else _("personal token")
    if given.key_expires is None:
        advice = _("Set KEY_EXPIRES to its last day, and you are warned in time.")
        return Fact(name=name, label=label, level=UNTOLD, text=kind, advice=advice)
    days = (given.key_expires - now.date()).days
    if days < 0:
        text = _("%(kind)s, expired on %(day)s") % {"kind": kind, "day": given.key_expires}
    else:
        left = ngettext("%(days)d day left", "%(days)d days left", days) % {"days": days}
        text = f"{kind}, {left}"
    level = BAD if days <= EXPIRY_NOW else FAIR if days <= EXPIRY_SOON else GOOD
    advice = "" if level == GOOD else _("Make a new key at my.meetergo.com and put it into the settings.")
    return Fact(name=name, label=label, level=level, text=text, advice=advice)


def tell_circuit(connection: str, account: Account | None, now: datetime) -> Fact:
    name, label = "circuit", _("Calls to meetergo")
    client = find_client(connection)
    if client is None or client.circuit is None:
        return Fact(name=name, label=label, level=UNTOLD, text=_("not known without a credential"))
    if since := (account and account.refused_since) or client.circuit.refused_since:
        text = _("none are sent: the key has been refused for %(time)s") % {"time": timesince(since, now)}
        advice = _(
            "Put a new key into the settings. If this one is valid, run meetergo_doctor: it tries again."
        )
        return Fact(name=name, label=label, level=BAD, text=text, advice=advice)
    if client.circuit.is_open:
        text = _("are held back: meetergo has been failing")
        advice = _("Nothing: it is tried again by itself. See status.meetergo.com.")
        return Fact(name=name, label=label, level=BAD, text=text, advice=advice)
    return Fact(name=name, label=label, level=GOOD, text=_("are sent"))


def find_client(connection: str) -> MeetergoClient | None:
    try:
        return client_for(connection, "view")
    except ImproperlyConfigured:
        return None


def tell_keys(account: Account | None) -> Fact:
    name, label = "encryption", _("Encryption keys")
    if account is None:
        return Fact(name=name, label=label, level=UNTOLD, text=_("nothing is encrypted yet"))
    if isinstance(account.canary, UnreadableText):
        advice = _("Put the lost key back into ENCRYPTION_KEYS, or the old SECRET_KEY into its fallbacks.")
        return Fact(name=name, label=label, level=BAD, text=_("do not open what is stored"), advice=advice)
    return Fact(name=name, label=label, level=GOOD, text=_("fit"))


def tell_poll(connection: str, now: datetime) -> Fact:
    name, label = "poll", _("Last sync")
    advice = _(
        "Start the background work (BACKGROUND), or run manage.py meetergo_sync and read what it says."
    )
    runs = SyncRun.objects.filter(connection=connection)
    last = runs.filter(state=SyncRun.State.DONE).aggregate(at=Max("finished_at"))["at"]
    if last is None:
        return Fact(name=name, label=label, level=BAD, text=_("never"), advice=advice)
    every = timedelta(seconds=get_settings().NEAR_EVERY)
    level = BAD if now - last > 12 * every else FAIR if now - last > 3 * every else GOOD
    failed = runs.filter(state=SyncRun.State.FAILED, started_at__gt=last).order_by("-started_at").first()
    text = f"{say_age(last, now)}; {failed.message}" if failed else say_age(last, now)
    return Fact(name=name, label=label, level=level, text=text, advice="" if level == GOOD else advice)


def tell_delivery(connection: str, account: Account | None, now: datetime) -> Fact:
    name, label = "delivery", _("Last webhook")
    last = WebhookDelivery.objects.filter(connection=connection).aggregate(at=Max("received_at"))["at"]
    if last is not None:
        return Fact(name=name, label=label, level=GOOD, text=say_age(last, now))
    if account is None or not account.webhook_remote_id:
        return Fact(name=name, label=label, level=UNTOLD, text=_("never"))
    advice = _("Book something. If nothing arrives, check SITE_URL and that meetergo can reach this site.")
    return Fact(name=name, label=label, level=FAIR, text=_("never"), advice=advice)


def tell_webhooks(account: Account | None) -> Fact:
    name, label = "webhooks", _("Webhooks")
    if account is None or not account.webhook_remote_id:
        advice = _("Run manage.py meetergo_webhooks ensure. Without it, news take until the next sync.")
        return Fact(name=name, label=label, level=FAIR, text=_("not registered"), advice=advice)
    used = account.webhooks_used or 1
    words = {"used": used, "places": WEBHOOK_PLACES}
    return Fact(
        name=name, label=label, level=GOOD, text=_("registered; %(used)d of %(places)d in use") % words
    )


def tell_budget(connection: str) -> Fact:
    name, label = "budget", _("Requests left this minute")
    client = find_client(connection)
    if client is None or client.budget is None:
        return Fact(name=name, label=label, level=UNTOLD, text=_("not known without a credential"))
    budget = client.budget
    keys = [f"meetergo:p:{budget.fingerprint}:{number}" for number in range(budget.per_minute)]
    try:
        free = budget.per_minute - len(caches[get_settings().CACHE].get_many(keys))
    except Exception:  # noqa: BLE001 - every cache has its own errors, and a page of facts must not fail
        advice = _("Each process goes on alone. Bring the cache back.")
        return Fact(name=name, label=label, level=FAIR, text=_("the cache does not answer"), advice=advice)
    level = FAIR if free <= budget.per_minute // 10 else GOOD
    advice = _("Something asks very often; it evens out within a minute.") if level == FAIR else ""
    text = _("%(free)d of %(all)d") % {"free": free, "all": budget.per_minute}
    return Fact(name=name, label=label, level=level, text=text, advice=advice)


def tell_unknowns(connection: str) -> Fact:
    name, label = "unknown", _("Bookings being checked")
    unclear = Booking.objects.filter(connection=connection, state=Booking.State.UNKNOWN)
    for_people = unclear.filter(reason=Booking.Reason.PERSON).count()
    if for_people:
        text = ngettext("%(number)d needs a person", "%(number)d need a person", for_people) % {
            "number": for_people
        }
        advice = _(
            "Open the bookings that need attention, compare with meetergo, and choose “Look for it now”."
        )
        return Fact(name=name, label=label, level=BAD, text=text, advice=advice)
    number = unclear.count()
    advice = _("Nothing: they are settled within minutes.") if number else ""
    return Fact(name=name, label=label, level=FAIR if number else GOOD, text=str(number), advice=advice)


def tell_due(now: datetime) -> Fact:
    """The oldest due row, and of which kind: says whether anybody does the background work."""
    name, label = "due", _("Oldest waiting work")
    oldest = {
        one.name: one.rows().due(now).order_by().aggregate(at=Min("next_at"))["at"] for one in work.TABLE
    }
    waiting = {kind: now - at for kind, at in oldest.items() if at is not None}
    if not waiting:
        return Fact(name=name, label=label, level=GOOD, text=_("nothing waits"))
    kinds = sorted(waiting, key=lambda kind: -waiting[kind])
    longest = waiting[kinds[0]]
    level = BAD if longest > STUCK else FAIR if longest > LATE else GOOD
    text = "; ".join(f"{kind}: {say_span(waiting[kind], now)}" for kind in kinds)
    advice = (
        "" if level == GOOD else _("Nobody does the background work: see BACKGROUND, or run meetergo_tick.")
    )
    return Fact(name=name, label=label, level=level, text=text, advice=advice)


def tell_dead(connection: str) -> Fact:
    name, label = "dead", _("Webhooks given up")
    given_up = (WebhookDelivery.State.DEAD, WebhookDelivery.State.UNCONFIRMED)
    number = WebhookDelivery.objects.filter(connection=connection, state__in=given_up).count()
    advice = _("Read their last problem in the list of webhook deliveries, and choose “Apply again”.")
    level = FAIR if number else GOOD
    return Fact(name=name, label=label, level=level, text=str(number), advice=advice if number else "")


def tell_untold(connection: str) -> Fact:
    name, label = "untold", _("Events the site could not take")
    failing = Event.objects.filter(connection=connection, dispatched_at=None, tries__gte=MANY_TRIES).count()
    advice = _("A receiver of our signals, or the mail server, fails: see the log.") if failing else ""
    return Fact(name=name, label=label, level=BAD if failing else GOOD, text=str(failing), advice=advice)


def tell_missing(connection: str) -> Fact:
    name, label = "missing", _("Appointments missing at meetergo")
    number = Appointment.objects.filter(connection=connection, missing_since__isnull=False).count()
    advice = _("They were deleted there. They are kept here and offered to nobody.") if number else ""
    return Fact(name=name, label=label, level=FAIR if number else GOOD, text=str(number), advice=advice)


def tell_drift(account: Account | None) -> Fact:
    name, label = "drift", _("Differences to meetergo")
    found = account.last_drift if account else None
    if not found:
        advice = _("Run manage.py meetergo_sync --check to compare.")
        return Fact(name=name, label=label, level=UNTOLD, text=_("not compared yet"), advice=advice)
    number = sum(found.get(kind, 0) for kind in ("only_remote", "only_local", "differs", "secret_missing"))
    words = {"number": number, "compared": found.get("compared", 0), "day": str(found.get("at", ""))[:10]}
    advice = _("Run manage.py meetergo_sync --kind full.") if number else ""
    text = _("%(number)d in %(compared)d, compared on %(day)s") % words
    return Fact(name=name, label=label, level=FAIR if number else GOOD, text=text, advice=advice)


def tell_skew(account: Account | None) -> Fact:
    name, label = "clock", _("Clock")
    if account is None or account.clock_skew is None:
        return Fact(name=name, label=label, level=UNTOLD, text=_("not compared yet"))
    off = abs(account.clock_skew) > SKEW
    advice = _("Set this machine's clock by a time server.") if off else ""
    text = _("%(seconds)d s apart from meetergo's") % {"seconds": abs(round(account.clock_skew))}
    return Fact(name=name, label=label, level=BAD if off else GOOD, text=text, advice=advice)


def say_age(moment: datetime, now: datetime) -> str:
    return _("%(time)s ago") % {"time": timesince(moment, now)}


def say_span(span: timedelta, now: datetime) -> str:
    return timesince(now - span, now)


# What only meetergo knows


def ask_meetergo(*, connection: str, client: MeetergoClient, now: datetime) -> list[Fact]:
    """The facts that take a call each: does the key work, are we registered, does the mirror agree.

    A credential that was refused is tried again.
    """
    if client.circuit and client.circuit.refused_since:
        client.circuit.reset()
    facts = [ask_who(client)]
    if facts[0].level != BAD:
        facts += [ask_webhooks(connection, client), *ask_drift(connection, client, now)]
    record_contact(connection=connection, client=client)
    return facts


def ask_who(client: MeetergoClient) -> Fact:
    name, label = "answers", _("meetergo answers")
    try:
        user = client.get_current_user()
    except PermissionRefused:
        text = _("yes; the token is limited and may not say whose it is")
        return Fact(name=name, label=label, level=GOOD, text=text)
    except CredentialRefused as error:
        advice = _("Make a new key at my.meetergo.com and put it into the settings.")
        return Fact(name=name, label=label, level=BAD, text=error.message, advice=advice)
    except RemoteError as error:
        advice = _("Check BASE_URL, the network and status.meetergo.com.")
        return Fact(name=name, label=label, level=BAD, text=str(error), advice=advice)
    text = _("yes, as an admin of the company") if user.is_admin else _("yes")
    return Fact(name=name, label=label, level=GOOD, text=text)


def ask_webhooks(connection: str, client: MeetergoClient) -> Fact:
    name, label = "webhook_entry", _("Our address in meetergo's list")
    ensure = _("Run manage.py meetergo_webhooks ensure.")
    try:
        endpoint = webhooks.build_endpoint(connection)
        hooks = client.list_webhooks()
    except InvalidRequest as error:
        return Fact(name=name, label=label, level=FAIR, text=str(error))
    except PermissionRefused:
        advice = _("Give the token the area “account” if this site shall register itself.")
        return Fact(name=name, label=label, level=UNTOLD, text=_("the token may not look"), advice=advice)
    except RemoteError as error:
        return Fact(name=name, label=label, level=FAIR, text=str(error))
    own = next((hook for hook in hooks if hook.endpoint == endpoint), None)
    known = Account.objects.filter(connection=connection)
    known.update(webhooks_used=len(hooks), webhook_remote_id=own.id if own else "")
    words = {"used": len(hooks), "places": WEBHOOK_PLACES}
    if own is None:
        text = _("is not there; %(used)d of %(places)d in use") % words
        return Fact(name=name, label=label, level=FAIR, text=text, advice=ensure)
    if missing := set(webhooks.BOOKING_EVENTS) - set(own.event_types):
        text = _("is there without %(events)s") % {"events": ", ".join(sorted(missing))}
        return Fact(name=name, label=label, level=FAIR, text=text, advice=ensure)
    if not endpoint.startswith("https://") and not get_settings().SANDBOX:
        advice = _("Set SITE_URL to the https address: the path holds a secret.")
        return Fact(name=name, label=label, level=FAIR, text=_("is plain http"), advice=advice)
    return Fact(name=name, label=label, level=GOOD, text=_("is there; %(used)d of %(places)d in use") % words)


def ask_drift(connection: str, client: MeetergoClient, now: datetime) -> Iterator[Fact]:
    """Compare anew. What is found is kept, and told by ``tell_drift``; only a failure is told here."""
    try:
        sync.find_drift(connection=connection, client=client, now=now)
    except RemoteError as error:
        yield Fact(name="drift_now", label=_("Differences to meetergo"), level=FAIR, text=str(error))


# An empty calendar


@dataclass(kw_only=True)
class DayReport:
    """Why a day shows what it shows: our own reasons, what is free, and what blocks the rest."""

    own_reasons: list[str] = field(default_factory=list)
    free: list[datetime] = field(default_factory=list)
    blocked: dict[str, list[datetime]] = field(default_factory=dict)
    error: str = ""

    @property
    def nothing_offered(self) -> bool:
        """meetergo named no start at all, free or blocked: the day is outside its working hours."""
        return not (self.free or self.blocked or self.error)


def explain_day(
    *, meeting_type: MeetingType, day: date, zone: ZoneInfo, client: MeetergoClient, now: datetime
) -> DayReport:
    """Ask meetergo what stands in the way of each start of one day."""
    report = DayReport(own_reasons=list(list_own_reasons(meeting_type, day, zone, now)))
    start = datetime(day.year, day.month, day.day, tzinfo=zone)
    following = day + timedelta(days=1)
    end = datetime(following.year, following.month, following.day, tzinfo=zone)
    try:
        answer = client.get_booking_availability(
            meeting_type.remote_id,
            start,
            end,
            host_ids=tuple(meeting_type.host_ids),
            queue_id=meeting_type.queue_id,
            timezone="UTC",
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
    if meeting_type.needs_own_page:
        yield _("It can only be booked on meetergo's own page.")
    if not meeting_type.host_ids and not meeting_type.queue_id:
        yield _("Neither a host nor a queue is known for it: run meetergo_sync.")
    if day < now.astimezone(zone).date():
        yield _("The day has passed.")


# A test booking


@dataclass(kw_only=True)
class Probe:
    """What one booking and one cancel showed about the account."""

    steps: list[tuple[str, str]] = field(default_factory=list)
    failed: bool = False

    def note(self, step: str, result: str, *, failed: bool = False) -> None:
        self.steps.append((step, result))
        self.failed = self.failed or failed


LIST_LOOKS = 5
BETWEEN_LOOKS = 1.0


def probe(
    *,
    meeting_type: MeetingType,
    email: str,
    client: MeetergoClient,
    now: datetime,
    nap: Callable[[float], None] = sleep,
) -> Probe:
    """Book the last free time of the next two weeks without mails, look at what came back, and cancel it."""
    report = Probe()
    if meeting_type.confirmation not in {MeetingType.Confirmation.NONE, MeetingType.Confirmation.UNKNOWN}:
        text = _("somebody must confirm its bookings, so a test would be left behind; choose another type")
        report.note(_("meeting type"), text, failed=True)
        return report
    found = availability.list_slots(
        meeting_type=meeting_type, start=now, end=now + timedelta(days=14), client=client, now=now
    )
    if not found.times:
        report.note(_("free times"), _("none in two weeks; see --why-no-slots"), failed=True)
        return report
    person = bookings.AttendeeData(email=email, first_name="Test", last_name="meetergo_doctor")
    try:
        booking = bookings.book_appointment(
            meeting_type=meeting_type,
            start=found.times[-1].start,
            attendee=person,
            skip_notifications=True,
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
    look_at_echo(report, booking, appointment, client, now)
    look_at_list(report, booking, appointment, client, nap)
    cancel_probe(report, appointment, client, now)
    return report


def look_at_echo(
    report: Probe, booking: Booking, appointment: Appointment, client: MeetergoClient, now: datetime
) -> None:
    """Does a read give our reference back, and is the secret the one the booking was answered with?"""
    secret = appointment.secret
    try:
        document = client.get_appointment(appointment.remote_id)
    except RemoteError as error:
        report.note(_("read back"), str(error), failed=True)
        return
    echoed = any(booking.marker in one.answers.values() for one in document.attendees)
    report.note(_("reference given back"), _("yes") if echoed else _("no"))
    if not document.secret:
        told = _("not told by reads")
    else:
        told = _("the same") if document.secret == secret else _("another one: it rotates")
    report.note(_("secret"), told)
    sync.sync_appointment(appointment=appointment, client=client, now=now)


def look_at_list(
    report: Probe,
    booking: Booking,
    appointment: Appointment,
    client: MeetergoClient,
    nap: Callable[[float], None],
) -> None:
    """After how many seconds the lists show a new appointment."""
    minute = timedelta(minutes=1)
    hosts = booking.meeting_type.host_ids or [""]
    for look in range(LIST_LOOKS):
        try:
            page = client.list_appointments(
                start=booking.start - minute, end=booking.start + minute, user_id=hosts[0]
            )
        except RemoteError as error:
            report.note(_("list"), str(error))
            return
        if appointment.remote_id in {one.id for one in page.appointments}:
            seconds = round(look * BETWEEN_LOOKS)
            report.note(_("list"), _("shows it after %(seconds)d s") % {"seconds": seconds})
            return
        nap(BETWEEN_LOOKS)
    report.note(_("list"), _("does not show it yet"))


def cancel_probe(report: Probe, appointment: Appointment, client: MeetergoClient, now: datetime) -> None:
    try:
        change = changes.cancel_appointment(
            appointment=appointment,
            client=client,
            now=now,
            reason="meetergo_doctor --probe",
            cancel_all=changes.is_group(appointment),
        )
    except MeetergoError as error:
        report.note(_("cancel"), str(error), failed=True)
        return
    done = change.state == change.State.DONE
    report.note(_("cancel"), f"{change.get_state_display()} {change.message}".strip(), failed=not done)
