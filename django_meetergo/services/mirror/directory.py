"""Write the mirrored hosts and meeting types."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from django.db import transaction
from django.utils.text import slugify

from django_meetergo.models import (
    Host,
    MeetingType,
)
from django_meetergo.remote.payloads import (
    AppointmentDocument,
    HostDocument,
    MeetingTypeDocument,
)
from django_meetergo.services.mirror.rows import find_by_remote_id, save_rows

#: First parts of this app's own URLs, which a slug must not hide.
RESERVED_SLUGS = frozenset({"booking", "manage", "timezone", "webhooks"})


def list_hosts(documents: Iterable[AppointmentDocument]) -> list[HostDocument]:
    """Return the hosts that appointments name, each once."""
    return list({host.id: host for document in documents for host in document.hosts}.values())


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
        if row is not None and not refresh:
            continue
        row = row or Host(connection=connection, remote_id=document.id)
        row.name, row.email = document.name[:200], document.email[:254]
        row.timezone = document.timezone or row.timezone
        row.raw, row.synced_at, row.missing_since = document.raw, now, None
        rows.append(row)
        known[document.id] = row
    save_rows(Host, rows, ("name", "email", "timezone", "raw", "synced_at", "missing_since"))
    return known


MEETING_TYPE_COLUMNS = (
    "name", "description", "duration", "allowed_durations", "channel", "allowed_channels", "locations",
    "spots", "host_ids", "queue_id", "enabled", "booking_url", "redirect_url", "confirmation",
    "needs_own_page", "allows_guests", "allows_phone_only", "raw", "synced_at", "missing_since",
)  # fmt: skip


def record_meeting_types(
    *,
    connection: str,
    documents: Sequence[MeetingTypeDocument],
    hosts_of: dict[str, list[Host]],
    now: datetime,
) -> list[MeetingType]:
    """Store the complete list of meeting types; those that it does not name are marked missing.

    ``hosts_of`` maps a meeting type's id to its hosts. Returns the rows.
    """
    known = find_by_remote_id(MeetingType, connection, {document.id for document in documents})
    used_slugs = set(MeetingType.objects.values_list("slug", flat=True))
    rows = []
    for document in documents:
        row = known.get(document.id) or MeetingType(connection=connection, remote_id=document.id)
        row.slug = row.slug or choose_slug(document, used_slugs)
        copy_meeting_type(row, document, now)
        rows.append(row)
    with transaction.atomic():
        save_rows(MeetingType, rows, MEETING_TYPE_COLUMNS)
        for row in rows:
            row.hosts.set(hosts_of.get(row.remote_id, []))
        present = MeetingType.objects.filter(connection=connection, missing_since=None)
        present.exclude(remote_id__in=[row.remote_id for row in rows]).update(missing_since=now)
    return rows


def copy_meeting_type(row: MeetingType, document: MeetingTypeDocument, now: datetime) -> None:
    """Copy the document's values to the row; the slug and columns of our own stay."""
    row.name = (document.name or document.slug or document.id)[:200]
    row.description = document.description
    row.duration = document.duration or row.duration
    row.allowed_durations = list(document.allowed_durations)
    row.channel = document.channel[:64]
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


def choose_slug(document: MeetingTypeDocument, used_slugs: set[str]) -> str:
    """Return a unique slug, and add it to ``used_slugs``: meetergo's own, with a number where it is used."""
    base = slugify(document.slug or document.name)[:190] or "appointment"
    slug, number = base, 2
    while slug in used_slugs or slug in RESERVED_SLUGS:
        slug, number = f"{base}-{number}", number + 1
    used_slugs.add(slug)
    return slug
