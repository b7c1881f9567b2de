"""The state of a connection, as far as it is known without calling meetergo."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import chain
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db.models import Max, Min, Q, QuerySet
from django.utils import timezone
from django.utils.timesince import timesince
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from django_meetergo.conf import get_connection_settings, get_settings, list_configured_connections
from django_meetergo.fields import UnreadableText
from django_meetergo.formatting import format_full_day, format_pair
from django_meetergo.lookups import read_json_text
from django_meetergo.models import (
    Appointment,
    Booking,
    Connection,
    Event,
    Host,
    MeetingType,
    SyncRun,
    WebhookDelivery,
)
from django_meetergo.services import scheduler
from django_meetergo.services.clients import build_credential, find_client
from django_meetergo.services.companies import find_covering
from django_meetergo.services.events import DONE
from django_meetergo.services.privacy.key_rotation import needs_rotation
from django_meetergo.services.webhooks.registration import WEBHOOK_PLACES

GOOD, FAIR, BAD, UNKNOWN = "good", "fair", "bad", "unknown"
#: Days before a key expires at which the level becomes fair, and bad.
EXPIRY_SOON, EXPIRY_NOW = 14, 3
#: How long a row has been due when the level becomes fair, and bad.
LATE, STUCK = timedelta(minutes=2), timedelta(minutes=15)
#: Seconds by which the clocks may differ.
MAX_CLOCK_SKEW = 30
#: An event that failed so often is reported before it is given up.
MAX_TRIES = 5
#: Skipped items that are named in full.
MAX_NAMED = 20
#: Facts that tell staff nothing while they are good.
TECHNICAL = frozenset(
    {
        "credential", "circuit", "encryption", "delivery", "webhooks", "requests", "due", "dead", "events",
        "names", "clock",
    }
)  # fmt: skip
#: What a sync may skip, in words for staff.
SKIPPED_KINDS: dict[str, Any] = {
    "appointment": gettext_lazy("appointments"),
    "host": gettext_lazy("hosts"),
    "meeting type": gettext_lazy("meeting types"),
    "queue": gettext_lazy("host queues"),
    "data field": gettext_lazy("questions"),
    "data fields": gettext_lazy("the list of questions"),
}
#: What ``meetergo_prune`` deletes or blanks, in words for staff.
PRUNED_KINDS: dict[str, Any] = {
    "deliveries": gettext_lazy("webhook deliveries"),
    "sync runs": gettext_lazy("sync runs"),
    "bookings": gettext_lazy("requests that were not booked"),
    "events": gettext_lazy("events"),
    "erased people": gettext_lazy("requests of erased people"),
}


@dataclass(frozen=True, kw_only=True)
class Fact:
    """One line of the report: a stable name, a level, what is known, and what to do about it.

    ``details`` are technical words for whoever maintains the site: ids, routes, error messages.
    """

    name: str
    label: str
    level: str
    text: str
    advice: str = ""
    details: tuple[str, ...] = ()

    @property
    def is_technical(self) -> bool:
        """Whether the whole line is for whoever maintains the site."""
        return self.name in TECHNICAL


def get_verdict(facts: list[Fact]) -> str:
    """Return the worst level. Unknown facts do not count."""
    levels = {fact.level for fact in facts}
    return next((level for level in (BAD, FAIR) if level in levels), GOOD)


def list_reported_connections() -> list[str]:
    """Return the connections in the settings, then the removed ones that somebody still waits for."""
    configured = list_configured_connections()
    waiting: list[QuerySet[Any]] = [
        Booking.objects.open().exclude(meeting_type__read_by__in=configured),
        WebhookDelivery.objects.filter(state=WebhookDelivery.State.PENDING),
        Appointment.objects.active().filter(start__gt=timezone.now()).exclude(read_by__in=configured),
    ]
    return configured + list_others(waiting, configured)


def list_removed_connections() -> list[str]:
    """Return the connections that are not in the settings, and that were offered or still matter."""
    configured = list_configured_connections()
    offered = MeetingType.objects.filter(missing_since=None).exclude(read_by__in=configured)
    return sorted({*list_others([offered], configured), *list_reported_connections()} - set(configured))


def list_others(rows: Iterable[QuerySet[Any]], configured: Collection[str]) -> list[str]:
    """Return the connections of these rows that are not among the configured ones."""
    names = (found.order_by().values_list("connection", flat=True).distinct() for found in rows)
    return sorted(set(chain.from_iterable(names)) - set(configured))


def collect_facts(*, connection: str, now: datetime) -> list[Fact]:
    """Return the facts about a connection that need no call."""
    row = Connection.objects.filter(connection=connection).first()
    return [
        describe_credential(connection, now),
        describe_circuit(connection, row, now),
        describe_keys(row),
        describe_last_sync(connection, now),
        describe_calendars(connection),
        describe_last_delivery(connection, row, now),
        describe_webhooks(row),
        describe_rate_limit(connection),
        describe_unknown_bookings(connection),
        describe_due_rows(now),
        describe_dead_deliveries(connection),
        describe_undispatched_events(connection),
        describe_skipped(connection),
        describe_names(connection),
        describe_missing_appointments(connection),
        describe_drift(row),
        describe_pruned(row),
        describe_clock_skew(row),
    ]


def describe_credential(connection: str, now: datetime) -> Fact:
    fact = partial(Fact, name="credential", label=_("Credential"))
    try:
        given = get_connection_settings(connection)
    except ImproperlyConfigured as error:
        text, advice = _("missing"), _("Set the key in the settings.")
        return fact(level=BAD, text=text, advice=advice, details=(str(error),))
    kind = _("platform key") if build_credential(given).kind == "platform" else _("personal token")
    if given.key_expires is None:
        advice = _("Set KEY_EXPIRES to its last day to be warned in time.")
        return fact(level=UNKNOWN, text=kind, advice=advice)
    days = (given.key_expires - timezone.localdate(now)).days
    if days < 0:
        text = _("%(kind)s, expired on %(day)s") % {"kind": kind, "day": format_full_day(given.key_expires)}
    else:
        left = ngettext("%(days)d day left", "%(days)d days left", days) % {"days": days}
        text = f"{kind}, {left}"
    level = BAD if days <= EXPIRY_NOW else FAIR if days <= EXPIRY_SOON else GOOD
    advice = "" if level == GOOD else _("Make a new key at my.meetergo.com and put it into the settings.")
    return fact(level=level, text=text, advice=advice)


def describe_circuit(connection: str, row: Connection | None, now: datetime) -> Fact:
    fact = partial(Fact, name="circuit", label=_("Calls to meetergo"))
    client = find_client(connection, "view")
    if client is None or client.circuit is None:
        return fact(level=UNKNOWN, text=_("not known without a credential"))
    if since := (row and row.refused_since) or client.circuit.refused_since:
        text = _("stopped: the key has been refused for %(time)s") % {"time": timesince(since, now)}
        advice = _(
            "Put a new key into the settings. If this one is valid, run meetergo_doctor: it tries again."
        )
        return fact(level=BAD, text=text, advice=advice)
    counted = sorted(client.circuit.count_failures().items(), key=lambda one: (-one[1], one[0]))
    failed = tuple(format_pair(route, number) for route, number in counted)
    if client.circuit.is_open:
        text = _("held back, because meetergo fails")
        advice = _("Wait: it is tried again automatically. See status.meetergo.com.")
        return fact(level=BAD, text=text, advice=advice, details=failed)
    if failed:
        text = _("some failed in the last seconds")
        advice = _("Only these calls fail, so the others are sent. They are tried again automatically.")
        return fact(level=FAIR, text=text, advice=advice, details=failed)
    return fact(level=GOOD, text=_("succeed"))


def describe_keys(row: Connection | None) -> Fact:
    fact = partial(Fact, name="encryption", label=_("Encryption keys"))
    if row is None:
        return fact(level=UNKNOWN, text=_("nothing is encrypted yet"))
    if isinstance(row.canary, UnreadableText):
        advice = _(
            "Put the lost key back into ENCRYPTION_KEYS, or the old SECRET_KEY into SECRET_KEY_FALLBACKS."
        )
        return fact(level=BAD, text=_("cannot decrypt the stored secrets"), advice=advice)
    if needs_rotation():
        advice = _("Run manage.py meetergo_rotate_keys, and remove no key before it has succeeded.")
        return fact(level=FAIR, text=_("an older key is still needed"), advice=advice)
    return fact(level=GOOD, text=_("valid"))


def describe_last_sync(connection: str, now: datetime) -> Fact:
    fact = partial(Fact, name="sync", label=_("Last sync"))
    advice = _(
        "Start the background work (BACKGROUND), or run manage.py meetergo_sync and read what it says."
    )
    if covering := find_covering(connection):
        text = _("not needed: connection %(name)s reads the same") % {"name": covering}
        return fact(level=GOOD, text=text)
    runs = SyncRun.objects.filter(connection=connection).exclude(kind=SyncRun.Kind.DIRECTORY)
    last = runs.filter(state=SyncRun.State.DONE).aggregate(at=Max("finished_at"))["at"]
    if last is None:
        return fact(level=BAD, text=_("never"), advice=advice)
    every = timedelta(seconds=get_settings().SYNC_INTERVAL)
    level = BAD if now - last > 12 * every else FAIR if now - last > 3 * every else GOOD
    stopped = runs.filter(started_at__gt=last).exclude(message="").order_by("-started_at").first()
    details = [stopped.message] if stopped else []
    text = format_age(last, now)
    for kind, ended, message in list_late_kinds(connection, now):
        level = BAD if level == BAD else FAIR
        text += "; " + format_pair(kind, format_age(ended, now) if ended else _("never"))
        details += [message] if message and message not in details else []
    advice = "" if level == GOOD else advice
    return fact(level=level, text=text, advice=advice, details=tuple(details))


def list_late_kinds(connection: str, now: datetime) -> Iterator[tuple[str, datetime | None, str]]:
    """Yield the kinds of sync that have not succeeded for long, though others do.

    Each with the end of its last success, and why it was stopped.
    """
    settings = get_settings()
    for kind, seconds in (
        (SyncRun.Kind.FULL, settings.FULL_SYNC_INTERVAL),
        (SyncRun.Kind.DIRECTORY, settings.DIRECTORY_SYNC_INTERVAL),
    ):
        runs = SyncRun.objects.filter(connection=connection, kind=kind).order_by()
        ended = runs.filter(state=SyncRun.State.DONE).aggregate(at=Max("finished_at"))["at"]
        # One that has never succeeded is late when it has been tried for so long.
        since = ended or runs.aggregate(at=Min("started_at"))["at"]
        if since is not None and now - since > 3 * timedelta(seconds=seconds):
            stopped = runs.exclude(message="").order_by("-started_at").first()
            yield str(kind.label), ended, stopped.message if stopped else ""


def describe_last_delivery(connection: str, row: Connection | None, now: datetime) -> Fact:
    fact = partial(Fact, name="delivery", label=_("Last webhook"))
    last = WebhookDelivery.objects.filter(connection=connection).aggregate(at=Max("received_at"))["at"]
    if last is not None:
        return fact(level=GOOD, text=format_age(last, now))
    if row is None or not row.webhook_remote_id:
        return fact(level=UNKNOWN, text=_("never"))
    advice = _("Book something. If nothing arrives, check SITE_URL and that meetergo can reach this site.")
    return fact(level=FAIR, text=_("never"), advice=advice)


def describe_webhooks(row: Connection | None) -> Fact:
    fact = partial(Fact, name="webhooks", label=_("Webhooks"))
    if row and (covering := find_covering(row.connection)):
        text = _("not needed: connection %(name)s reads the same") % {"name": covering}
        return fact(level=GOOD, text=text)
    if row is None or not row.webhook_remote_id:
        advice = _(
            "Run manage.py meetergo_webhooks ensure. Without it, changes arrive with the next sync only."
        )
        return fact(level=FAIR, text=_("not registered"), advice=advice)
    used = row.webhooks_used or 1
    words = {"used": used, "places": WEBHOOK_PLACES}
    return fact(level=GOOD, text=_("registered; %(used)d of %(places)d in use") % words)


def describe_rate_limit(connection: str) -> Fact:
    fact = partial(Fact, name="requests", label=_("Requests left this minute"))
    client = find_client(connection, "view")
    if client is None or client.rate_limiter is None:
        return fact(level=UNKNOWN, text=_("not known without a credential"))
    limiter = client.rate_limiter
    free = limiter.count_free()
    if free is None:
        advice = _("Each process limits its own requests meanwhile. Restore the cache.")
        return fact(level=FAIR, text=_("the cache does not answer"), advice=advice)
    level = FAIR if free <= limiter.per_minute // 10 else GOOD
    advice = (
        _("The site sends many requests at the moment. The limit is per minute.") if level == FAIR else ""
    )
    text = _("%(free)d of %(all)d") % {"free": free, "all": limiter.per_minute}
    return fact(level=level, text=text, advice=advice)


def describe_unknown_bookings(connection: str) -> Fact:
    fact = partial(Fact, name="unknown", label=_("Bookings being checked"))
    bookings = Booking.objects.filter(connection=connection)
    for_people = bookings.filter(reason=Booking.Reason.NEEDS_STAFF).count()
    if for_people:
        text = ngettext("%(number)d is left to staff", "%(number)d are left to staff", for_people) % {
            "number": for_people
        }
        advice = _(
            "Open the bookings that need attention, compare with meetergo, "
            "and choose one of the actions there."
        )
        return fact(level=BAD, text=text, advice=advice)
    number = bookings.filter(state=Booking.State.UNKNOWN).count()
    advice = _("Wait: they are reconciled within minutes.") if number else ""
    return fact(level=FAIR if number else GOOD, text=str(number), advice=advice)


def describe_due_rows(now: datetime) -> Fact:
    """Return how long the oldest row of each kind has been due: whether the background work runs."""
    fact = partial(Fact, name="due", label=_("Oldest waiting work"))
    oldest = {
        one.name: one.rows().due(now).order_by().aggregate(at=Min("next_at"))["at"]
        for one in scheduler.DUE_TABLE
    }
    waiting = {kind: now - at for kind, at in oldest.items() if at is not None}
    if not waiting:
        return fact(level=GOOD, text=_("nothing waits"))
    kinds = sorted(waiting, key=lambda kind: -waiting[kind])
    longest = waiting[kinds[0]]
    level = BAD if longest > STUCK else FAIR if longest > LATE else GOOD
    details = tuple(format_pair(kind, format_span(waiting[kind], now)) for kind in kinds)
    advice = (
        "" if level == GOOD else _("The background work does not run: see BACKGROUND, or run meetergo_tick.")
    )
    text = format_span(longest, now)
    return fact(level=level, text=text, advice=advice, details=details)


def describe_dead_deliveries(connection: str) -> Fact:
    fact = partial(Fact, name="dead", label=_("Webhooks given up"))
    given_up = (WebhookDelivery.State.DEAD, WebhookDelivery.State.UNCONFIRMED)
    number = WebhookDelivery.objects.filter(connection=connection, state__in=given_up).count()
    advice = _("Read their last problem in the list of webhook deliveries, and choose “Apply again”.")
    level = FAIR if number else GOOD
    return fact(level=level, text=str(number), advice=advice if number else "")


def describe_undispatched_events(connection: str) -> Fact:
    fact = partial(Fact, name="events", label=_("Events with failed receivers"))
    waiting = Event.objects.filter(connection=connection, dispatched_at=None)
    failing = waiting.filter(Q(next_at=None) | Q(tries__gte=MAX_TRIES))
    number = failing.count()
    if not number:
        return fact(level=GOOD, text="0")
    names = sorted(
        {
            receiver
            for receivers in failing.values_list("receivers", flat=True)[:100]
            for receiver, result in receivers.items()
            if result["state"] != DONE
        }
    )
    advice = _("Fix the receiver or the mail server, then choose “Try again” in the list of events.")
    return fact(level=BAD, text=str(number), advice=advice, details=tuple(names))


def describe_calendars(connection: str) -> Fact:
    """Name the hosts without a connected calendar: what they do elsewhere does not block a time."""
    fact = partial(Fact, name="calendars", label=_("Calendars of the hosts"))
    bookable = Host.objects.filter(meeting_types__in=MeetingType.objects.bookable(), connection=connection)
    hosts = bookable.filter(missing_since=None).distinct()
    known = hosts.exclude(calendars=None)
    without = sorted(str(host) for host in known.filter(calendars=0).defer("raw"))
    if not known.exists():
        return fact(level=UNKNOWN, text=_("not known"))
    if without:
        text = _("not connected: %(names)s") % {"names": ", ".join(without)}
        advice = _(
            "Times already taken in their own calendars are still offered. Connect a calendar at "
            "my.meetergo.com."
        )
        return fact(level=FAIR, text=text, advice=advice)
    unknown = sorted(str(host) for host in hosts.filter(calendars=None).defer("raw"))
    text = _("connected")
    if unknown:
        text += "; " + _("not known: %(names)s") % {"names": ", ".join(unknown)}
    return fact(level=GOOD, text=text)


def describe_skipped(connection: str) -> Fact:
    """Count what the last run of each kind could not read or store; the details name it."""
    fact = partial(Fact, name="skipped", label=_("Skipped by the last sync"))
    skipped: list[dict[str, str]] = []
    for kind in SyncRun.Kind.values:
        runs = SyncRun.objects.filter(connection=connection, kind=kind)
        last = runs.exclude(state=SyncRun.State.OPEN).order_by("-started_at").first()
        skipped += last.skipped if last else []
    if not skipped:
        return fact(level=GOOD, text=_("nothing"))
    named = [f"{one['kind']} {one['id']}: {one['reason']}" for one in skipped[:MAX_NAMED]]
    details = (*named, "…") if len(skipped) > MAX_NAMED else tuple(named)
    advice = _("Each sync tries them again. If entries remain here, report them to meetergo.")
    text = count_kinds(Counter(one["kind"] for one in skipped), SKIPPED_KINDS)
    return fact(level=FAIR, text=text, advice=advice, details=details)


def describe_pruned(row: Connection | None) -> Fact:
    """Say what the last deletion of old data (``RETENTION_DAYS``) removed."""
    fact = partial(Fact, name="pruned", label=_("Last deletion of old data"))
    last = row.last_prune if row else None
    if not last:
        return fact(level=UNKNOWN, text=_("not yet"))
    counts = {kind: number for kind, number in last["rows"].items() if number}
    text = count_kinds(counts, PRUNED_KINDS) if counts else _("nothing")
    return fact(level=GOOD, text=format_pair(format_day_of(last["at"]), text))


def count_kinds(counts: Mapping[str, int], names: Mapping[str, Any]) -> str:
    """Return the numbers with the names of what was counted."""
    return ", ".join(format_pair(names.get(kind, kind), number) for kind, number in counts.items())


def describe_names(connection: str) -> Fact:
    """Name the meeting types that have another slug here than at meetergo."""
    fact = partial(Fact, name="names", label=_("Meeting types with another slug here"))
    rows = MeetingType.objects.filter(connection=connection, missing_since=None).order_by("slug")
    stored = rows.values_list("slug", read_json_text("raw", "slug"))
    slugs = [(slug, at_meetergo or "–") for slug, at_meetergo in stored]
    renamed = [f"{at_meetergo} → {slug}" for slug, at_meetergo in slugs if slug != at_meetergo]
    text = f"{len(renamed)}: {'; '.join(renamed)}" if renamed else "0"
    advice = _("Links, template tags and FORMS use the second one.") if renamed else ""
    return fact(level=GOOD, text=text, advice=advice)


def describe_missing_appointments(connection: str) -> Fact:
    fact = partial(Fact, name="missing", label=_("Appointments missing at meetergo"))
    number = Appointment.objects.filter(connection=connection, missing_since__isnull=False).count()
    advice = _("They were deleted there. They stay here, hidden from the attendees.") if number else ""
    return fact(level=FAIR if number else GOOD, text=str(number), advice=advice)


def describe_drift(row: Connection | None) -> Fact:
    fact = partial(Fact, name="drift", label=_("Differences to meetergo"))
    found = row.last_drift if row else None
    if not found:
        advice = _("Run manage.py meetergo_sync --check to compare.")
        return fact(level=UNKNOWN, text=_("not compared yet"), advice=advice)
    number = sum(found.get(kind, 0) for kind in ("only_remote", "only_local", "differs", "secret_missing"))
    words = {"number": number, "compared": found.get("compared", 0), "day": format_day_of(found["at"])}
    advice = _("Run manage.py meetergo_sync --kind full.") if number else ""
    text = _("%(number)d in %(compared)d, compared on %(day)s") % words
    return fact(level=FAIR if number else GOOD, text=text, advice=advice)


def describe_clock_skew(row: Connection | None) -> Fact:
    fact = partial(Fact, name="clock", label=_("Clock"))
    if row is None or row.clock_skew is None:
        return fact(level=UNKNOWN, text=_("not compared yet"))
    off = abs(row.clock_skew) > MAX_CLOCK_SKEW
    advice = _("Set the clock of this machine from a time server.") if off else ""
    text = _("%(seconds)d s apart from meetergo's") % {"seconds": abs(round(row.clock_skew))}
    return fact(level=BAD if off else GOOD, text=text, advice=advice)


def format_day_of(instant: str) -> str:
    """Return the day of a stored instant in the current time zone."""
    return format_full_day(timezone.localdate(datetime.fromisoformat(instant)))


def format_age(moment: datetime, now: datetime) -> str:
    return _("%(time)s ago") % {"time": timesince(moment, now)}


def format_span(span: timedelta, now: datetime) -> str:
    return timesince(now - span, now)
