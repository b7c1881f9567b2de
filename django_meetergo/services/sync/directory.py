"""Synchronise the directory: meeting types, hosts and data fields."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from itertools import count
from typing import TypeVar
from uuid import uuid4

from django_meetergo.cache import cache
from django_meetergo.clock import Stopwatch
from django_meetergo.exceptions import (
    CredentialRefused,
    InvalidRequest,
    NotFound,
    PermissionRefused,
    RemoteError,
)
from django_meetergo.models import Connection, MeetingType, SyncRun
from django_meetergo.models.mirrored import is_read_by
from django_meetergo.remote.client import MeetergoClient
from django_meetergo.remote.payloads import (
    DataFieldDocument,
    HostDocument,
    ItemList,
    MeetingTypeDocument,
    SkippedItem,
    read_id,
)
from django_meetergo.services.clients import CALLS_SUSPENDED
from django_meetergo.services.companies import record_company
from django_meetergo.services.mirror.data_fields import record_data_fields
from django_meetergo.services.mirror.directory import record_calendars, record_hosts, record_meeting_types
from django_meetergo.services.sync.runs import (
    finish_run,
    note_skipped,
    note_skipped_items,
    open_run,
    release_when_stopped,
)
from django_meetergo.transactions import run_with_retries

Document = TypeVar("Document", HostDocument, DataFieldDocument)
PAGE_SIZE = 100
#: Hosts whose calendars are asked for in one run, with a call each.
MAX_CALENDARS = 50
VERSION_KEY = "meetergo:directory"


def sync_directory(*, connection: str, client: MeetergoClient, now: datetime) -> list[MeetingType]:
    """Make our meeting types and hosts equal to meetergo's and return the meeting types.

    Raises RemoteError when a list cannot be read; nothing is written then, and the run is due again by its
    policy. While another worker does the same, the stored meeting types are returned.
    """
    stopwatch = Stopwatch(now)
    run, lease = open_run(connection, SyncRun.Kind.DIRECTORY, now)
    if lease is None:
        return list(MeetingType.objects.filter(is_read_by(connection), missing_since=None))
    rows: list[MeetingType] = []
    with release_when_stopped(run, lease, stopwatch):
        rows = read_directory(run, client, now)
        finish_run(run, lease, stopwatch.now(), seen=len(rows), written=len(rows))
    return rows


def read_directory(run: SyncRun, client: MeetergoClient, now: datetime) -> list[MeetingType]:
    """Read and store the meeting types with their hosts, and what the credential may see."""
    types = client.list_meeting_types()
    note_skipped_items(run, types.skipped)
    acting = get_acting_user(client)
    connection = record_company(connection=run.connection, company=find_company(acting, types))
    users = {user.id: user for user in list_users(run, acting, client)}
    members = {document.id: list_members(run, document, client) for document in types}
    fields = read_data_fields(run, client)
    everybody = {host.id: host for hosts in members.values() for host in hosts or ()} | users
    counts = count_calendars(everybody, acting, client)

    def store() -> list[MeetingType]:
        hosts = record_hosts(connection=connection, documents=list(everybody.values()), now=now, refresh=True)
        record_calendars(hosts=hosts, counts=counts)
        hosts_of = {
            document.id: [
                hosts[host_id]
                for host_id in [document.host_id, *(host.id for host in queue)]
                if host_id in hosts
            ]
            for document in types
            if (queue := members[document.id]) is not None
        }
        if fields is not None:
            unreadable = {item.id for item in fields.skipped}
            record_data_fields(connection=connection, documents=fields, unreadable=unreadable, now=now)
        return record_meeting_types(
            connection=connection,
            documents=types,
            hosts_of=hosts_of,
            unreadable={item.id for item in types.skipped},
            read_by=run.connection,
            now=now,
        )

    # Another connection of the company may store the same rows at the same moment, and so may a webhook.
    rows = run_with_retries(store)
    values = {
        "directory_synced_at": now,
        "user_id": acting.id if acting else "",
        "is_admin": bool(acting and acting.is_admin),
    }
    Connection.objects.update_or_create(connection=run.connection, defaults=values)
    renew_version()
    return rows


def get_version() -> str:
    """Return a text that changes whenever the directory was read; part of the keys of cached pages."""
    version: str = cache.get(VERSION_KEY, "")
    return version


def renew_version() -> None:
    """Invalidate the rendered pages. Without a cache there are none, and later ones expire in a minute."""
    cache.set(VERSION_KEY, uuid4().hex, None)


def get_acting_user(client: MeetergoClient) -> HostDocument | None:
    """Return whom the credential acts for; None for a token that may not say."""
    try:
        return client.get_current_user()
    except PermissionRefused:
        return None


def find_company(acting: HostDocument | None, types: Iterable[MeetingTypeDocument]) -> str:
    """Return meetergo's id of the company; "" when neither the user nor a meeting type names it."""
    named = (read_id(one.raw.get("companyId")) for one in types)
    return (acting.company_id if acting else "") or next(filter(None, named), "")


def list_users(run: SyncRun, acting: HostDocument | None, client: MeetergoClient) -> list[HostDocument]:
    """Return whom the credential may see: the company for an admin, else the acting user, else nobody."""
    users = [acting] if acting else []
    if acting and not acting.is_admin:
        return users
    # An admin's plan or scope may not include the company.
    with suppress(PermissionRefused):
        for page in read_pages(client.list_users):
            users.extend(page)
            note_skipped_items(run, page.skipped)
    return users


def read_pages(read: Callable[..., ItemList[Document]]) -> Iterator[ItemList[Document]]:
    """Yield the pages of a list. One that shows nothing new has no end."""
    seen: set[str] = set()
    for offset in count(0, PAGE_SIZE):
        page = read(limit=PAGE_SIZE, offset=offset)
        yield page
        ids = [one.id for one in page] + [item.id for item in page.skipped]
        if len(ids) < PAGE_SIZE or seen.issuperset(ids):
            return
        seen.update(ids)


def list_members(
    run: SyncRun, document: MeetingTypeDocument, client: MeetergoClient
) -> list[HostDocument] | None:
    """Return the hosts of a queue; none for other types and for a queue that may not be read.

    None when reading it failed, which says nothing about its hosts. Raises the errors of ``CALLS_SUSPENDED``.
    """
    if not document.queue_id:
        return []
    try:
        return list(client.get_queue(document.queue_id))
    except CALLS_SUSPENDED:
        raise
    except (InvalidRequest, RemoteError) as error:
        note_skipped(run, "queue", document.queue_id, error)
        return [] if isinstance(error, InvalidRequest | NotFound | PermissionRefused) else None


def count_calendars(
    host_ids: Iterable[str], acting: HostDocument | None, client: MeetergoClient
) -> dict[str, int]:
    """Return how many calendars each host has connected at meetergo, by the host's id.

    They are optional: a host is left out whose calendars cannot be counted, or not before the rate limit.
    A platform key can ask for every host, a personal token for its own user only.
    """
    if acting is None:
        return {}
    asked = [acting.id] if client.transport.credential.kind != "platform" else list(host_ids)[:MAX_CALENDARS]
    counts: dict[str, int] = {}
    for host_id in asked:
        user = client if host_id == acting.id else client.for_user(host_id)
        try:
            counts[host_id] = user.count_calendars()
        except CredentialRefused:
            raise
        except CALLS_SUSPENDED:
            break
        except RemoteError:
            continue
    return counts


def read_data_fields(run: SyncRun, client: MeetergoClient) -> ItemList[DataFieldDocument] | None:
    """Return the data fields; None if the credential may not read them, or their list is unreadable.

    They are optional, so such a list does not stop the sync of meeting types and hosts.
    Raises the errors of ``CALLS_SUSPENDED``, which say nothing about the list.
    """
    found: dict[str, DataFieldDocument] = {}
    skipped: list[SkippedItem] = []
    try:
        for page in read_pages(client.list_data_fields):
            found |= {document.id: document for document in page}
            skipped += page.skipped
    except CALLS_SUSPENDED:
        raise
    except RemoteError as error:
        if not isinstance(error, NotFound | PermissionRefused):
            note_skipped(run, "data fields", "", error)
        return None
    note_skipped_items(run, skipped)
    return ItemList(found.values(), skipped)
