"""Notice what staff must hear of about a connection: a refused credential, a service that is away for long.

Each occurrence is one event with a unique key, so it is mailed once.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import Min

from django_meetergo.models import Connection, Event, SyncRun
from django_meetergo.services.events import build_event, record_events

#: A service that could not be read for so long is reported.
AWAY_AFTER = timedelta(minutes=30)


def record_alerts(*, connection: str, now: datetime) -> None:
    """Record a new outage of a connection or a newly refused credential as an event."""
    refused_since = (
        Connection.objects.filter(connection=connection).values_list("refused_since", flat=True).first()
    )
    if refused_since is not None:
        record_alert(connection, Event.Kind.CREDENTIAL_REFUSED, refused_since, now)
        return
    failing = SyncRun.objects.filter(connection=connection, state=SyncRun.State.OPEN)
    failing_since = failing.aggregate(since=Min("failing_since"))["since"]
    if failing_since is not None and now - failing_since >= AWAY_AFTER:
        record_alert(connection, Event.Kind.SERVICE_AWAY, failing_since, now)


def record_alert(connection: str, kind: str, since: datetime, now: datetime) -> None:
    key = f"connection:{connection}:{kind}:{since.isoformat()}"
    if not Event.objects.filter(key=key).exists():
        event = build_event(kind=kind, key=key, now=now, connection=connection, since=since.isoformat())
        record_events([event])
