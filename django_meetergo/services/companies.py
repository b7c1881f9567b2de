"""Which connections belong to one company. What a company holds is mirrored once, and read once if possible.

The rows of a company have the name of one of its connections, the mirror, in their column ``connection``.
``read_by`` names the connection whose credential sees a row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from django.core.exceptions import ImproperlyConfigured

from django_meetergo.conf import ConnectionSettings, get_connection_settings, list_connection_names
from django_meetergo.models import Appointment, Connection, MeetingType
from django_meetergo.models.mirrored import is_read_by
from django_meetergo.remote.payloads import AppointmentDocument
from django_meetergo.transactions import write_transaction


def find_mirror(connection: str) -> str:
    """Return the connection under whose name the rows are stored that a connection reads."""
    known = Connection.objects.filter(connection=connection).exclude(mirror="")
    mirror: str = known.values_list("mirror", flat=True).first() or connection
    return mirror


def record_company(*, connection: str, company: str) -> str:
    """Store which company a connection belongs to, and return its mirror.

    The mirror is that of the connection of the same company that was read first. It is not changed later,
    unless the credential is replaced by one of another company. Without a known company it is the connection
    itself.
    """
    Connection.objects.get_or_create(connection=connection)
    with write_transaction():
        # All are locked in one order, so that two first syncs choose the same mirror.
        rows = {row.connection: row for row in Connection.objects.select_for_update().order_by("pk")}
        own = rows[connection]
        mirror: str = own.mirror
        if mirror and company in {"", own.company}:
            return mirror
        siblings = [
            row
            for row in rows.values()
            if company and row.company == company and is_same_service(row.connection, connection)
        ]
        has_rows = MeetingType.objects.filter(connection=connection).exists()
        mirror = siblings[0].mirror if siblings and not has_rows else connection
        Connection.objects.filter(pk=own.pk).update(company=company, mirror=mirror)
    return mirror


def is_same_service(one: str, other: str) -> bool:
    """Whether two connections are in the settings and call the same address. Ids are unique there only."""
    try:
        return get_connection_settings(one).base_url == get_connection_settings(other).base_url
    except ImproperlyConfigured:
        return False


def find_covering(connection: str) -> str | None:
    """Return the connection that reads everything a connection sees, so that it need not be read; or None.

    That is the first one of the company that is an admin's and not limited to some meeting types. A refused
    credential covers nothing, and neither does one that was replaced by a credential of another company: its
    name stays that of the mirror.
    """
    own = Connection.objects.filter(connection=connection).exclude(company="").first()
    if own is None:
        return None
    admins = Connection.objects.filter(
        mirror=own.mirror or connection, company=own.company, is_admin=True, refused_since=None
    )
    names = set(admins.values_list("connection", flat=True))
    first = next((one.name for one in list_settings() if one.name in names and not one.meeting_types), None)
    return first if first != connection else None


def list_settings() -> Iterator[ConnectionSettings]:
    """Yield the connections that have a credential, in the order of the settings."""
    for name in list_connection_names():
        try:
            yield get_connection_settings(name)
        except ImproperlyConfigured:
            continue


def may_read(row: MeetingType | None, slug: str, connection: str) -> bool:
    """Whether a connection, and no other one of the company, reads a meeting type.

    A connection that names it in ``MEETING_TYPES`` comes before one that is not limited; then the order in
    the settings decides.
    """
    candidates = {one.name: one for one in list_settings() if one.offers(slug)}
    if connection not in candidates:
        return False
    other = row.read_by if row and row.missing_since is None else ""
    if other not in candidates:
        return True
    order = sorted(candidates, key=lambda name: not candidates[name].meeting_types)
    return order.index(connection) <= order.index(other)


def select_offered(
    connection: str, documents: Sequence[AppointmentDocument]
) -> tuple[AppointmentDocument, ...]:
    """Return the appointments that a connection mirrors.

    These are all, unless it is limited to some meeting types: then those of the types it reads, and those
    that are known.
    """
    if not get_connection_settings(connection).meeting_types:
        return tuple(documents)
    types = set(MeetingType.objects.filter(is_read_by(connection)).values_list("remote_id", flat=True))
    rows = Appointment.objects.filter(connection=find_mirror(connection))
    known = set(rows.filter(remote_id__in=[one.id for one in documents]).values_list("remote_id", flat=True))
    return tuple(one for one in documents if one.meeting_type_id in types or one.id in known)
