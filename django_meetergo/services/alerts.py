"""Notice what staff must hear of about a connection: a refused credential, a service that is away for long.

Each occurrence is one event with a unique key, so it is mailed once.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import Max, Min

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
    runs = SyncRun.objects.filter(connection=connection).order_by()
    failing = runs.filter(state=SyncRun.State.OPEN).aggregate(since=Min("failing_since"))["since"]
    if failing is None or now - failing < AWAY_AFTER:
        return
    # In an outage of days runs are given up, and others fail in their place: the last one that succeeded
    # tells that the outage is still the same.
    last = runs.filter(state=SyncRun.State.DONE).aggregate(at=Max("finished_at"))["at"]
    if last is not None and now - last < AWAY_AFTER:
        return  # one kind of sync fails while another one succeeds: the doctor says which
    is_away = last is not None and last < failing + AWAY_AFTER / 2
    record_alert(connection, Event.Kind.SERVICE_AWAY, failing, now, occurrence=last if is_away else failing)


def record_alert(
    connection: str, kind: str, since: datetime, now: datetime, *, occurrence: datetime | None = None
) -> None:
    """Record an event once for each ``occurrence``, by default the moment ``since``."""
    key = f"connection:{connection}:{kind}:{(occurrence or since).isoformat()}"
    if not Event.objects.filter(key=key).exists():
        event = build_event(kind=kind, key=key, now=now, connection=connection, since=since.isoformat())
        record_events([event])
