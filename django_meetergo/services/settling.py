"""Find out what became of a booking whose answer we do not have.

``adopt`` is the only code that says "confirmed". It takes evidence from wherever it comes: the answer to
our own request, a re-read after a webhook, a sync, or the reads in here.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models import F

from django_meetergo.clock import Stopwatch
from django_meetergo.conf import get_settings
from django_meetergo.exceptions import (
    ChangeNotAllowed,
    NotFound,
    OutcomeUnknown,
    PermissionRefused,
    RemoteError,
)
from django_meetergo.models import Account, Attendee, Booking, BookingAttempt, Event
from django_meetergo.remote.client import MeetergoClient
from django_meetergo.remote.payloads import (
    AppointmentDocument,
    BookingConfirmed,
    BookingProvisional,
    ProvisionalDocument,
)
from django_meetergo.services import availability, changes, mirror
from django_meetergo.services.events import record_booking_event
from django_meetergo.services.evidence import (
    Found,
    choose_candidates,
    find_marker,
    list_host_ids,
    list_provisional,
    look_for,
    look_for_moved,
)
from django_meetergo.services.rebooking import find_wished
from django_meetergo.transactions import run_short

State, Reason, Outcome = Booking.State, Booking.Reason, BookingAttempt.Outcome

Evidence = BookingConfirmed | BookingProvisional | AppointmentDocument | ProvisionalDocument

#: Seconds after sending at which we look for a booking whose answer was lost, before it must be settled.
FIRST_LOOKS = (2, 20)
#: Two looks that find nothing count only with this much between them.
BETWEEN_LOOKS = timedelta(seconds=30)
#: Reads that stay incomplete for so long after the booking should be settled need a person.
GIVE_UP = timedelta(minutes=5)
#: What the host reads on an appointment that one wish got twice.
SURPLUS = "Booked twice by mistake"
#: Minutes after which a waiting booking is looked up, and hourly from then on.
PENDING_LOOKS = (1, 5, 15)
PENDING_HOURLY = timedelta(hours=1)
PENDING_FOR = timedelta(hours=48)
PENDING_AFTER = timedelta(hours=6)


# Evidence


def adopt(*, booking: Booking, evidence: Evidence, now: datetime) -> Booking:
    """Take evidence of an appointment, or of a provisional booking, in whatever state the booking is.

    Idempotent. Returns the booking as stored; secrets, mirror, event and freed keys are one transaction.
    """

    def take() -> Booking:
        # A lease that was lost does not matter here: late success is still success.
        rows = Booking.objects.select_for_update(of=("self",)).select_related("meeting_type")
        stored = rows.get(pk=booking.pk)
        if isinstance(evidence, BookingProvisional | ProvisionalDocument):
            return mark_pending(stored, evidence, now)
        return mark_confirmed(stored, evidence, now)

    return run_short(take)


def mark_confirmed(
    booking: Booking, evidence: BookingConfirmed | AppointmentDocument, now: datetime
) -> Booking:
    if booking.attendee_id is not None:
        return booking
    was_closed = booking.state == State.CLOSED
    if isinstance(evidence, BookingConfirmed):
        attendee = mirror.record_confirmation(booking=booking, evidence=evidence, now=now)
        reread_at: datetime | None = now
    else:
        appointment = mirror.record_appointment(connection=booking.connection, document=evidence, now=now)
        attendee = mirror.record_attendee_of(booking=booking, appointment=appointment, now=now)
        reread_at = None
    tie_to_attendee(booking, attendee)
    free_keys(booking)
    booking.state, booking.reason, booking.attendee = State.CONFIRMED, Reason.NONE, attendee
    booking.next_at, booking.tries, booking.closed_at = reread_at, 0, None
    booking.save()
    end_attempt(booking, Outcome.CONFIRMED, now)
    if was_closed:
        record_booking_event(booking, Event.Kind.BOOKING_FOUND, now=now)
    elif find_wished(booking):
        record_booking_event(booking, Event.Kind.BOOKING_REBOOKED, now=now)
    availability.take_out(meeting_type=booking.meeting_type, start=booking.start, duration=booking.duration)
    return booking


def tie_to_attendee(booking: Booking, attendee: Attendee) -> None:
    """Hand over what the site tied to the wish: its user, its own object and what was answered."""
    Attendee.objects.filter(pk=attendee.pk).update(
        user=booking.user_id,
        subject_type=booking.subject_type_id,
        subject_id=booking.subject_id,
        custom_fields=booking.custom_fields or attendee.custom_fields,
    )


def mark_pending(
    booking: Booking, evidence: BookingProvisional | ProvisionalDocument, now: datetime
) -> Booking:
    if booking.state in {State.CONFIRMED, State.PENDING}:
        return booking
    found = evidence.provisional_id if isinstance(evidence, BookingProvisional) else evidence.id
    booking.provisional_id = found
    if booking.state == State.CLOSED and not take_keys_again(booking):
        # Its person has another open wish by now: this one stays closed, and watched.
        booking.reason = Reason.REPLACED
        booking.save()
        return booking
    booking.state = State.PENDING
    booking.reason = choose_pending_reason(booking, evidence.awaits)
    booking.pending_since, booking.closed_at, booking.tries = now, None, 0
    booking.next_at = now + timedelta(minutes=PENDING_LOOKS[0])
    booking.lease_token = booking.lease_until = None
    booking.save()
    end_attempt(booking, Outcome.PROVISIONAL, now)
    record_booking_event(booking, Event.Kind.BOOKING_PENDING, now=now)
    # Whether the time is held meanwhile is meetergo's secret. Not offering it is the safe side until a
    # refresh tells.
    availability.take_out(meeting_type=booking.meeting_type, start=booking.start, duration=booking.duration)
    return booking


def take_keys_again(booking: Booking) -> bool:
    """Make a closed wish the open one of its person again; False when another is."""
    booking.open_key = booking.hash_open_key()
    try:
        with transaction.atomic():
            Booking.objects.filter(pk=booking.pk).update(open_key=booking.open_key)
    except IntegrityError:
        booking.open_key = None
        return False
    return True


def choose_pending_reason(booking: Booking, awaits: str) -> str:
    if awaits == "host" and booking.meeting_type.confirmation == "both":
        return Reason.BOTH
    return Reason.HOST if awaits == "host" else Reason.ATTENDEE


def free_keys(booking: Booking) -> None:
    booking.open_key = booking.slot_key = None
    booking.lease_token = booking.lease_until = None


def close(booking: Booking, reason: str, *, now: datetime, message: str = "") -> Booking:
    """End a booking without an appointment. The caller holds a transaction with the row locked."""
    free_keys(booking)
    booking.state, booking.reason, booking.message = State.CLOSED, reason, message
    booking.closed_at, booking.next_at = now, None
    booking.save()
    step = str(booking.attempts.count())
    record_booking_event(booking, Event.Kind.BOOKING_CLOSED, now=now, step=step)
    return booking


def end_attempt(booking: Booking, outcome: str, now: datetime, evidence: str = "") -> None:
    """Write how the last attempt ended, once that is certain."""
    last = booking.attempts.exclude(outcome__in=BookingAttempt.DEFINITE).order_by("-number").first()
    if last is not None:
        last.outcome, last.ended_at = outcome, now
        last.evidence = evidence or last.evidence
        last.save()


# Giving what was found to whom it belongs


def adopt_documents(
    *, connection: str, documents: Sequence[AppointmentDocument], now: datetime
) -> list[Booking]:
    """Give fetched appointments to the bookings that made them, if any is still without one.

    Bookings that were closed are watched until their slot is over: late evidence confirms them, too.
    """
    markers = {marker for document in documents for marker in find_marker(document)}
    starts = {document.start for document in documents if document.end > now}
    bookings = Booking.objects.filter(connection=connection).select_related("meeting_type")
    waiting = bookings.filter(attendee=None)
    found = {row.pk: row for row in bookings.filter(marker__in=markers)} if markers else {}
    found |= {row.pk: row for row in waiting.filter(start__in=starts)} if starts else {}
    # Who still waits comes before who was told no, and the newer wish before the older.
    order = sorted(found.values(), key=lambda row: (row.is_open, row.created_at), reverse=True)
    return [
        adopted
        for booking in order
        if (adopted := adopt_best(booking=booking, documents=documents, now=now)) is not None
    ]


def adopt_best(
    *, booking: Booking, documents: Sequence[AppointmentDocument | ProvisionalDocument], now: datetime
) -> Booking | None:
    """Adopt the one candidate; of several with our exact reference the oldest, and cancel the others."""
    chosen = choose_candidates(booking, documents)
    if not chosen or not (len(chosen) == 1 or all(booking.marker in find_marker(one) for one in chosen)):
        return None
    oldest = min(chosen, key=lambda one: (one.created_at is None, one.created_at or now, one.id))
    adopted = adopt(booking=booking, evidence=oldest, now=now)
    for document in chosen:
        if isinstance(document, AppointmentDocument) and booking.marker in find_marker(document):
            cancel_surplus(adopted, document, now)
    return adopted


def cancel_surplus(booking: Booking, document: AppointmentDocument, now: datetime) -> None:
    """Take back what one wish got twice. Only for our exact reference: anything less is for a person."""
    attendee = booking.attendee
    if attendee is None or document.is_cancelled or document.start <= now:
        return
    own = [one for one in document.attendees if one.answers.get(mirror.MARKER_KEY) == booking.marker]
    if attendee.appointment.remote_id == document.id:
        # In a group the same person may hold two seats of one appointment.
        own = [one for one in own if attendee.remote_id and one.id != attendee.remote_id]
    if (own and len(own) == len(document.attendees)) or (own and booking.meeting_type.is_group):
        appointment = mirror.record_appointment(connection=booking.connection, document=document, now=now)
        for one in own:
            changes.plan_cancel(appointment=appointment, attendee_id=one.id, reason=SURPLUS, now=now)


# Looking


def settle_booking(*, booking: Booking, client: MeetergoClient, now: datetime) -> Booking:
    """Look for a booking whose answer was lost, and settle it when the evidence allows."""
    mark_unclear(booking, now)
    lease = (
        Booking.objects.filter(state=State.UNKNOWN)
        .exclude(reason=Reason.PERSON)
        .claim(booking.pk, now=now, lease=get_settings().lease)
    )
    booking = Booking.objects.select_related("meeting_type").get(pk=booking.pk)
    if lease is None:
        return booking
    found = look_for(booking, client)
    adopted = adopt_best(booking=booking, documents=found.candidates, now=now)
    if adopted is not None:
        return adopted
    candidates = len(choose_candidates(booking, found.candidates))
    if found.complete and is_settled(booking, now):
        # The last look before we say no: what was made since then may have been moved in the meantime.
        moved = look_for_moved(booking, client)
        adopted = adopt_best(booking=booking, documents=moved.candidates, now=now)
        if adopted is not None:
            return adopted
        candidates = 2 if moved.candidates else candidates
        found = Found((), complete=moved.complete)
    with transaction.atomic():
        held = Booking.objects.select_for_update(of=("self",)).select_related("meeting_type")
        held = held.filter(lease_token=lease.token, state=State.UNKNOWN)
        stored = held.filter(pk=booking.pk).first()
        if stored is None:
            return Booking.objects.get(pk=booking.pk)
        return decide(stored, candidates=candidates, complete=found.complete, now=now)


def mark_unclear(booking: Booking, now: datetime) -> bool:
    """A row that was being sent when its process died: the answer, if there was one, is lost."""
    left = Booking.objects.filter(pk=booking.pk, state=State.SENDING, lease_until__lt=now)
    with transaction.atomic():
        changed = left.update(state=State.UNKNOWN, lease_token=None, lease_until=None, next_at=now)
        if changed:
            end_attempt(booking, Outcome.UNKNOWN, now)
            step = str(booking.attempts.count())
            record_booking_event(booking, Event.Kind.BOOKING_UNCLEAR, now=now, step=step)
    return bool(changed)


def decide(booking: Booking, *, candidates: int, complete: bool, now: datetime) -> Booking:
    """What a look that did not find exactly one candidate means."""
    booking.lease_token = booking.lease_until = None
    settle_at = booking.settle_at or now
    if candidates > 1 or (not complete and now >= settle_at + GIVE_UP):
        booking.reason, booking.next_at = Reason.PERSON, None
        booking.save()
        return booking
    if complete and is_settled(booking, now):
        end_attempt(booking, Outcome.ABSENT, now)
        return close(booking, Reason.NOT_BOOKED, now=now)
    if complete and booking.first_negative_at is None:
        booking.first_negative_at = now
    booking.tries += 1
    booking.next_at = next_look(booking, now)
    booking.save()
    return booking


def is_settled(booking: Booking, now: datetime) -> bool:
    """Two complete looks found nothing, apart from each other, the second after meetergo's time was up."""
    first, settle_at = booking.first_negative_at, booking.settle_at
    return bool(first and settle_at and now >= settle_at and now - first >= min_gap())


def min_gap() -> timedelta:
    """Half a minute, or less where a site has shortened the time meetergo is given."""
    return min(BETWEEN_LOOKS, get_settings().settle / 4)


def next_look(booking: Booking, now: datetime) -> datetime:
    """The next time of the schedule that is still ahead."""
    settle_at = booking.settle_at or now
    sent_at = settle_at - get_settings().settle
    early = [sent_at + timedelta(seconds=seconds) for seconds in FIRST_LOOKS]
    plan = [*early, settle_at, settle_at + min_gap()]
    if booking.first_negative_at:
        plan.append(booking.first_negative_at + min_gap())
    return min((moment for moment in plan if moment > now), default=now + min_gap())


# What waits for somebody's yes


def check_pending(*, booking: Booking, client: MeetergoClient, now: datetime) -> Booking:
    """See whether a provisional booking has been confirmed, declined, or has lapsed."""
    pending = Booking.objects.filter(state=State.PENDING)
    lease = pending.claim(booking.pk, now=now, lease=get_settings().lease)
    booking = Booking.objects.select_related("meeting_type").get(pk=booking.pk)
    if lease is None:
        return booking
    status = find_provisional_status(booking, client)
    if status != "pending":
        found = look_for(booking, client)
        made = [one for one in found.candidates if isinstance(one, AppointmentDocument)]
        adopted = adopt_best(booking=booking, documents=made, now=now)
        if adopted is not None:
            return adopted
        if not found.complete:
            status = None
    with transaction.atomic():
        stored = Booking.objects.select_for_update().filter(pk=booking.pk, lease_token=lease.token).first()
        if stored is None:
            return Booking.objects.get(pk=booking.pk)
        return decide_pending(stored, status, now)


def decide_pending(booking: Booking, status: str | None, now: datetime) -> Booking:
    """``status`` is meetergo's word for it, or None when it could not be read."""
    if status == "declined_by_host":
        return close(booking, Reason.DECLINED, now=now)
    if status in {"expired", ""}:
        return close(booking, Reason.LAPSED, now=now)
    since = booking.pending_since or now
    booking.lease_token = booking.lease_until = None
    booking.tries += 1
    booking.next_at = next_pending_look(since, now)
    booking.save()
    return booking


def next_pending_look(since: datetime, now: datetime) -> datetime:
    plan = [since + timedelta(minutes=minutes) for minutes in PENDING_LOOKS]
    ahead = [moment for moment in plan if moment > now]
    if ahead:
        return ahead[0]
    # A request that outlives every known time limit still ends one day, and somebody must notice.
    return now + (PENDING_HOURLY if now < since + PENDING_FOR else PENDING_AFTER)


def find_provisional_status(booking: Booking, client: MeetergoClient) -> str | None:
    """``pending``, ``confirmed``, ``expired`` or ``declined_by_host``; "" when gone, None when unread."""
    try:
        for status in ("pending", "declined_by_host", "expired", "confirmed"):
            if has_provisional(booking, status, client):
                return status
    except RemoteError:
        return None
    return ""


def has_provisional(booking: Booking, status: str, client: MeetergoClient) -> bool:
    return any(
        document.id == booking.provisional_id
        for host_id in list_host_ids(booking)
        for document in list_provisional(booking, host_id, client, status=status)
    )


def decline_booking(*, booking: Booking, client: MeetergoClient, now: datetime, reason: str = "") -> Booking:
    """Say no, as the host, to a booking that waits for one. What meetergo then holds decides.

    Raises RemoteError when the request certainly did nothing.
    """
    if booking.state != State.PENDING or booking.reason not in {Reason.HOST, Reason.BOTH}:
        raise ChangeNotAllowed("This booking does not wait for a host.", reason="not_waiting")
    watch = Stopwatch(now)
    with transaction.atomic(durable=True):
        pending = Booking.objects.filter(state=State.PENDING)
        lease = pending.claim(booking.pk, now=now, lease=get_settings().lease)
    if lease is None:
        raise ChangeNotAllowed("This booking is being looked up; try again in a minute.", reason="busy")
    try:
        client.decline_provisional_booking(booking.provisional_id, reason=reason)
    except (OutcomeUnknown, NotFound):
        # Declined already, confirmed meanwhile, or an answer that was lost: the lists know.
        Booking.objects.finish(lease, next_at=watch.now())
        return check_pending(booking=booking, client=client, now=watch.now())
    except RemoteError:
        Booking.objects.finish(lease)
        raise
    with transaction.atomic():
        stored = Booking.objects.select_for_update().filter(pk=booking.pk, lease_token=lease.token).first()
        if stored is None:
            return Booking.objects.get(pk=booking.pk)
        return close(stored, Reason.DECLINED, now=watch.now())


# What we know only from the answer to our own request


def reread_booking(*, booking: Booking, client: MeetergoClient, now: datetime) -> Booking:
    """Fill in what an answer left out: the attendee's id, the link, the host; and learn about markers."""
    confirmed = Booking.objects.filter(state=State.CONFIRMED).due(now)
    lease = confirmed.claim(booking.pk, now=now, lease=get_settings().lease)
    booking = Booking.objects.select_related("attendee__appointment").get(pk=booking.pk)
    if lease is None or booking.attendee is None:
        return booking
    appointment = booking.attendee.appointment
    try:
        document = client.get_appointment(appointment.remote_id)
    except (NotFound, PermissionRefused):
        # Not there yet, or not for our eyes. Sync and webhooks will bring it if it can be read at all.
        wait = timedelta(seconds=min(5 * 4**booking.tries, 3600))
        give_up = booking.tries >= 5
        Booking.objects.finish(lease, tries=F("tries") + 1, next_at=None if give_up else now + wait)
        return booking
    with transaction.atomic():
        mirror.record_appointment(connection=booking.connection, document=document, now=now)
        learn_marker(booking, document)
        Booking.objects.finish(lease, next_at=None, tries=0)
    booking.refresh_from_db()
    return booking


def learn_marker(booking: Booking, document: AppointmentDocument) -> None:
    """Whether this account gives references back; until one of our own shows it, nobody knows."""
    seen = booking.marker in find_marker(document)
    Account.objects.get_or_create(connection=booking.connection)
    known = Account.objects.filter(connection=booking.connection)
    if seen:
        known.update(gives_markers_back=True)
    else:
        known.filter(gives_markers_back=None).update(gives_markers_back=False)
