"""The parts of a sandbox and its switches, without HTTP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

from django_meetergo.sandbox import documents, seed
from django_meetergo.sandbox.calls import Calls
from django_meetergo.sandbox.clock import Clock
from django_meetergo.sandbox.deliveries import Deliveries
from django_meetergo.sandbox.faults import Faults
from django_meetergo.sandbox.limits import RateLimit
from django_meetergo.sandbox.records import Appointment
from django_meetergo.sandbox.request_log import RequestLog
from django_meetergo.sandbox.settings import Settings, check_switches, get_profile_switches
from django_meetergo.sandbox.state import State


class Service:
    """The state of a sandbox and everything that changes how it behaves."""

    def __init__(
        self,
        profile: str = "seed",
        *,
        rate_limit: bool = True,
        clock: Clock | None = None,
        make_uuid: Callable[[], UUID] = uuid4,
    ) -> None:
        self.clock = clock or Clock()
        self.request_log = RequestLog(self.clock)
        self.faults = Faults()
        self.calls = Calls()
        self.limit = RateLimit()
        self.settings = Settings()
        self.deliveries = Deliveries(self.request_log)
        self.state = State(self.clock, self.request_log, self.settings, self._announce, make_uuid)
        self.reset(profile=profile, rate_limit=rate_limit)

    def reset(self, **switches: Any) -> None:
        """Start again with the seeded clinic.

        Profile and rate limit stay unless given; every other switch returns to its default unless given.
        """
        kept = {"profile": self.settings.profile, "rate_limit": self.settings.rate_limit, **switches}
        with self.state.lock:
            self.configure(**{**vars(Settings()), **get_profile_switches(kept["profile"]), **kept})
            self.clock.offset_seconds = 0.0
            self.faults.clear()
            self.limit.clear()
            self.deliveries.reset()
            self.request_log.clear()
            self.calls.clear()
            self.state.clear()
            seed.seed_state(self.state)
            seed.update_team_type(self.state)

    def configure(self, **switches: Any) -> None:
        """Change switches; a profile also sets those that belong to it.

        Raises ``ValueError`` for an unknown switch or value and then changes nothing.
        """
        if "profile" in switches:
            switches = {**get_profile_switches(switches["profile"]), **switches}
        check_switches(switches)
        with self.state.lock:
            for name, value in switches.items():
                setattr(self.settings, name, value)
            seed.update_team_type(self.state)

    def close(self) -> None:
        """Stop the background threads."""
        self.deliveries.close()

    def _announce(self, event: str, appointment: Appointment) -> None:
        kind = self.state.meeting_types[appointment.meeting_type_id]
        hosts = self.state.get_hosts(appointment.host_ids)
        for webhook in self.state.webhooks.values():
            if event in webhook.event_types:
                self.deliveries.enqueue(
                    webhook_id=webhook.id,
                    endpoint=webhook.endpoint,
                    event=event,
                    document=documents.event_document(event, appointment, kind, hosts),
                    envelope=self.settings.legacy_envelope,
                )
