"""Find the hosts to whom appointments can be handed over, and who of them is free."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.core.exceptions import ImproperlyConfigured

from django_meetergo.clock import Stopwatch
from django_meetergo.exceptions import RemoteError
from django_meetergo.models import Appointment, Host
from django_meetergo.services.clients import build_client

#: Appointments whose colleagues are asked for: each costs a call.
MAX_ASKED = 20
#: Seconds after which no further appointment is asked for.
ASK_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class Colleague:
    """A host to whom some appointments can be handed over, and the starts at which that host is busy."""

    host: Host
    busy: list[datetime] = field(default_factory=list)


def find_colleagues(*, appointments: Sequence[Appointment], now: datetime) -> list[Colleague] | None:
    """Return the hosts to whom meetergo lets all of these appointments be handed over, the freest first.

    None when that is not known: meetergo does not answer soon enough, or there are too many appointments.
    """
    if len(appointments) > MAX_ASKED:
        return None
    stopwatch = Stopwatch(now)
    answers: list[dict[int, bool]] = []
    hosts = {(host.connection, host.remote_id): host for host in list_candidates(appointments)}
    for appointment in appointments:
        if (stopwatch.now() - now).total_seconds() > ASK_SECONDS:
            return None
        try:
            client = build_client(appointment.reader, "view")
            client.shorten_timeout(ASK_SECONDS)
            found = client.list_handoff_hosts(appointment.remote_id)
        except (RemoteError, ImproperlyConfigured):
            return None
        keys = [(hosts.get((appointment.connection, one.id)), one.is_blocked) for one in found]
        answers.append({host.pk: is_blocked for host, is_blocked in keys if host is not None})
    colleagues = [
        Colleague(
            host=host,
            busy=[row.start for row, answer in zip(appointments, answers, strict=True) if answer[host.pk]],
        )
        for host in hosts.values()
        if answers and all(host.pk in answer for answer in answers)
    ]
    return sorted(colleagues, key=lambda one: len(one.busy))


def list_candidates(appointments: Sequence[Appointment]) -> list[Host]:
    """Return the hosts of the appointments' connections by name; of one appointment, all but its own."""
    connections = {appointment.connection for appointment in appointments}
    hosts = Host.objects.filter(missing_since=None, connection__in=connections).defer("raw")
    if len(appointments) == 1:
        hosts = hosts.exclude(appointments=appointments[0].pk)
    return list(hosts.order_by("name", "pk"))
