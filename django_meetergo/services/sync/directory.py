"""Learn which meeting types there are, and who receives in them."""

from __future__ import annotations

import logging
from datetime import datetime
from itertools import count
from uuid import uuid4

from django_meetergo.cache import cache
from django_meetergo.exceptions import NotFound, PermissionRefused
from django_meetergo.models import Connection, MeetingType
from django_meetergo.remote.client import MeetergoClient
from django_meetergo.remote.payloads import HostDocument, MeetingTypeDocument
from django_meetergo.services.mirror.directory import record_hosts, record_meeting_types

logger = logging.getLogger(__name__)

PAGE_SIZE = 100
VERSION_KEY = "meetergo:directory"


def sync_directory(*, connection: str, client: MeetergoClient, now: datetime) -> list[MeetingType]:
    """Make our meeting types and hosts equal to meetergo's. Raises RemoteError, then nothing is written."""
    types = client.list_meeting_types()
    acting = get_acting_user(client)
    users = {user.id: user for user in list_users(acting, client)}
    members = {document.id: list_members(document, client) for document in types}
    everybody = {host.id: host for hosts in members.values() for host in hosts} | users
    hosts = record_hosts(connection=connection, documents=list(everybody.values()), now=now, refresh=True)
    hosts_of = {
        document.id: [
            hosts[host_id]
            for host_id in [document.host_id, *(host.id for host in members[document.id])]
            if host_id in hosts
        ]
        for document in types
    }
    rows = record_meeting_types(connection=connection, documents=types, hosts_of=hosts_of, now=now)
    learnt = {
        "directory_synced_at": now,
        "user_id": acting.id if acting else "",
        "is_admin": bool(acting and acting.is_admin),
    }
    Connection.objects.update_or_create(connection=connection, defaults=learnt)
    renew_version()
    return rows


def get_version() -> str:
    """Another one since the meeting types and hosts were last read; for what is made from them and kept."""
    version: str = cache.get(VERSION_KEY, "")
    return version


def renew_version() -> None:
    """Invalidate the rendered pages. Without a cache there are none, and later ones expire in a minute."""
    cache.set(VERSION_KEY, uuid4().hex, None)


def get_acting_user(client: MeetergoClient) -> HostDocument | None:
    """Who the credential acts as; None for a token that is limited to other areas."""
    try:
        return client.get_current_user()
    except PermissionRefused:
        return None


def list_users(acting: HostDocument | None, client: MeetergoClient) -> list[HostDocument]:
    """Everybody the credential may see: the company for an admin, else the owner alone, else nobody."""
    users = [acting] if acting else []
    if acting and not acting.is_admin:
        return users
    try:
        for offset in count(0, PAGE_SIZE):
            page = client.list_users(limit=PAGE_SIZE, offset=offset)
            users.extend(page.hosts)
            if len(page.hosts) < PAGE_SIZE:
                break
    except PermissionRefused:
        # An admin of a plan or a scope that does not show the company.
        return users
    return users


def list_members(document: MeetingTypeDocument, client: MeetergoClient) -> list[HostDocument]:
    """The hosts of a queue; none for other types, or when the credential may not look into queues."""
    if not document.queue_id:
        return []
    try:
        return list(client.get_queue(document.queue_id).hosts)
    except (NotFound, PermissionRefused):
        return []
