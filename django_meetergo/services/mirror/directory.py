"""Write the mirrored hosts and meeting types."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

from django.utils.text import slugify

from django_meetergo.conf import list_connection_names
from django_meetergo.lookups import read_json_text
from django_meetergo.models import Appointment, Host, MeetingType
from django_meetergo.models.mirrored import is_read_by
from django_meetergo.remote.payloads import AppointmentDocument, HostDocument, MeetingTypeDocument, read_id
from django_meetergo.services.companies import may_read
from django_meetergo.services.mirror.rows import find_by_remote_id, save_rows
from django_meetergo.transactions import write_transaction

#: The largest number of calendars that the column holds on every database.
MAX_CALENDARS = 2**15 - 1
#: Characters of a slug, without the number that may follow.
MAX_SLUG = 190
#: First parts of this app's own URLs, which a slug must not hide.
RESERVED_SLUGS = frozenset({"booking", "feed", "manage", "my-appointments", "timezone", "webhooks"})


def list_hosts(documents: Iterable[AppointmentDocument]) -> list[HostDocument]:
    """Return the hosts that appointments name, each once; of some only the id is known.

    A host that is named by its id gets a row without a name, which the directory fills in later.
    """
    named: dict[str, HostDocument] = {}
    for document in documents:
        named |= {host_id: HostDocument(id=host_id) for host_id in document.host_ids if host_id not in named}
        named |= {host.id: host for host in document.hosts}
    return list(named.values())


def record_hosts(
    *, connection: str, documents: Sequence[HostDocument], now: datetime, refresh: bool = False
) -> dict[str, Host]:
    """Store hosts and return their rows by meetergo's id.

    Known hosts are written again only with ``refresh``, for the directory: appointments show less of a host.
    """
    known = find_by_remote_id(Host, connection, {document.id for document in documents})
    rows = []
    for document in documents:
        row = known.get(document.id)
        if row is not None and not refresh and (row.name or not document.name):
            continue
        row = row or Host(connection=connection, remote_id=document.id)
        row.name, row.email = document.name, document.email
        row.timezone = document.timezone or row.timezone
        row.raw, row.synced_at, row.missing_since = document.raw, now, None
        rows.append(row)
        known[document.id] = row
    save_rows(Host, rows, ("name", "email", "timezone", "raw", "synced_at", "missing_since"))
    return known


def record_calendars(*, hosts: Mapping[str, Host], counts: Mapping[str, int]) -> None:
    """Store how many calendars hosts have connected, for the hosts that could be asked."""
    rows = [hosts[host_id] for host_id in counts if host_id in hosts]
    for row in rows:
        row.calendars = min(counts[row.remote_id], MAX_CALENDARS)
    save_rows(Host, rows, ("calendars",))


MEETING_TYPE_COLUMNS = (
    "name", "description", "duration", "allowed_durations", "channel", "allowed_channels", "locations",
    "spots", "host_ids", "queue_id", "enabled", "booking_url", "redirect_url", "confirmation",
    "needs_own_page", "allows_guests", "allows_phone_only", "raw", "synced_at", "missing_since", "read_by",
)  # fmt: skip


def record_meeting_types(
    *,
    connection: str,
    documents: Sequence[MeetingTypeDocument],
    hosts_of: dict[str, list[Host]],
    now: datetime,
    unreadable: Collection[str] = (),
    read_by: str = "",
) -> list[MeetingType]:
    """Store the complete list of meeting types; those that it does not name are marked missing.

    ``read_by`` is the connection that has read it, by default ``connection`` itself. Types that another
    connection of the company reads are left to that one. ``hosts_of`` maps a meeting type's id to its hosts;
    a type that it leaves out keeps those it has.
    ``unreadable`` are ids that the list names with a document that cannot be read: their rows stay as they
    are. Appointments of a type that was not known when they were stored are linked to it. Returns the rows.
    """
    read_by = read_by or connection
    known = find_by_remote_id(MeetingType, connection, {document.id for document in documents})
    used_slugs = set(MeetingType.objects.values_list("slug", flat=True))
    if is_first_connection(read_by) and not MeetingType.objects.filter(read_by=read_by).exists():
        rename_types(known, documents, used_slugs, read_by)
    documents = [one for one in documents if may_read(known.get(one.id), one.slug, read_by)]
    rows = []
    # By id, so that equal slugs get the same numbers whatever the order of the list.
    for document in sorted(documents, key=lambda one: one.id):
        row = known.get(document.id) or MeetingType(connection=connection, remote_id=document.id)
        row.slug = row.slug or choose_slug(document, used_slugs, read_by)
        row.read_by = read_by
        copy_meeting_type(row, document, now)
        rows.append(row)
    with write_transaction():
        save_rows(MeetingType, rows, MEETING_TYPE_COLUMNS)
        for row in rows:
            if row.remote_id in hosts_of:
                row.hosts.set(hosts_of[row.remote_id])
        present = MeetingType.objects.filter(is_read_by(read_by), connection=connection, missing_since=None)
        named = [*(row.remote_id for row in rows), *unreadable]
        present.exclude(remote_id__in=named).update(missing_since=now)
        link_appointments(connection, rows)
    return rows


def link_appointments(connection: str, types: Iterable[MeetingType]) -> None:
    """Link the appointments that were stored before their meeting type was known."""
    by_id = {row.remote_id: row for row in types}
    unlinked = Appointment.objects.filter(connection=connection, meeting_type=None)
    type_ids = read_json_text("raw", "meetingTypeId"), read_json_text("raw", "meetingType", "id")
    ids = unlinked.order_by().values_list("pk", *type_ids)
    found: dict[str, list[int]] = {}
    for pk, top_id, nested_id in ids.iterator():
        type_id = read_id(top_id) or read_id(nested_id)  # as parsed: the stored document is meetergo's
        if type_id in by_id:
            found.setdefault(type_id, []).append(pk)
    for type_id, pks in found.items():
        Appointment.objects.filter(pk__in=pks).update(meeting_type=by_id[type_id])


def copy_meeting_type(row: MeetingType, document: MeetingTypeDocument, now: datetime) -> None:
    """Copy the document's values to the row; the slug and columns of our own stay."""
    row.name = document.name or document.slug or document.id
    row.description = document.description
    row.duration = document.duration or row.duration
    row.allowed_durations = list(document.allowed_durations)
    row.channel = document.channel
    row.allowed_channels = list(document.allowed_channels) if document.select_channel else []
    row.locations = list(document.locations)
    row.spots = document.spots
    row.host_ids = [document.host_id] if document.host_id and not document.queue_id else []
    row.queue_id = document.queue_id
    row.enabled = document.enabled
    row.booking_url, row.redirect_url = document.booking_url, document.redirect_url
    # The kind of confirmation is known from our own bookings where the list does not name it.
    if document.confirmation != "unknown" or not row.confirmation:
        row.confirmation = document.confirmation
    row.needs_own_page = document.needs_own_page
    row.allows_guests, row.allows_phone_only = document.allows_guests, document.allows_phone_only
    row.raw, row.synced_at, row.missing_since = document.raw, now, None


def choose_slug(document: MeetingTypeDocument, used_slugs: set[str], read_by: str) -> str:
    """Return a unique slug, and add it to ``used_slugs``.

    It is meetergo's own slug, followed by the connection's name unless that is the first in the settings, so
    that the same slug in two connections does not depend on which of them is read first. Where it is used
    already, a number follows.
    """
    suffix = "" if is_first_connection(read_by) else f"-{slugify(read_by)}"
    base = (slugify(document.slug or document.name) or "appointment")[: MAX_SLUG - len(suffix)] + suffix
    slug, number = base, 2
    while slug in used_slugs or slug in RESERVED_SLUGS:
        slug, number = f"{base}-{number}", number + 1
    used_slugs.add(slug)
    return slug


def is_first_connection(connection: str) -> bool:
    return connection in list_connection_names()[:1]


def rename_types(
    known: dict[str, MeetingType],
    documents: Sequence[MeetingTypeDocument],
    used_slugs: set[str],
    read_by: str,
) -> None:
    """Name the types anew that other connections have stored before the first one was read at all."""
    for document in sorted(documents, key=lambda one: one.id):
        if row := known.get(document.id):
            used_slugs.discard(row.slug)
            row.slug = choose_slug(document, used_slugs, read_by)
            row.save(update_fields=["slug"])
