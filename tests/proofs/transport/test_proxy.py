"""Each fault of the network proxy does to a booking what its name says, and the client classifies it."""

from __future__ import annotations

import time
from urllib.parse import urlsplit

import pytest

from django_meetergo.exceptions import OutcomeUnknown, RemoteError, Unreachable
from django_meetergo.remote import payloads
from django_meetergo.remote.client import MeetergoClient
from django_meetergo.remote.transport import Credential, Transport
from django_meetergo.sandbox.seed import ADMIN_TOKEN
from tests.harness.proxy import FAULTS, Plan, start_proxy

pytestmark = pytest.mark.django_db

HARMLESS = {"slice", "slow", "replay"}


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_a_booking_behind_a_broken_network_is_never_reported_wrongly(fault, live_meetergo_sandbox):
    kit = live_meetergo_sandbox
    start, meeting_type = kit.list_free_starts()[0], kit.meeting_type()
    target = urlsplit(kit.base_url)
    plan = Plan(share=1, faults=(fault,), hang_seconds=1, late_seconds=(0.1, 0.2))
    raised = None
    with start_proxy((target.hostname, target.port), plan=plan) as proxy:
        client = MeetergoClient(
            Transport(credential=Credential(key=ADMIN_TOKEN), base_url=proxy.url, timeout=0.6)
        )
        try:
            client.create_booking(
                payloads.BookingPayload(
                    meeting_type_id=meeting_type.remote_id,
                    start=start,
                    host_ids=tuple(meeting_type.host_ids),
                    attendee=payloads.AttendeePayload(
                        email="jane@example.com", first_name="Jane", last_name=""
                    ),
                )
            )
        except RemoteError as error:
            raised = error
        wait_for_late_requests(kit, FAULTS[fault])

    made = len(kit.appointments())
    if fault in HARMLESS:
        assert (raised, made) == (None, 1)
    elif FAULTS[fault]:
        assert isinstance(raised, OutcomeUnknown)
        assert made == 1
    else:
        assert isinstance(raised, OutcomeUnknown | Unreachable)
        assert made == 0


def wait_for_late_requests(kit, is_applied: bool) -> None:
    """Wait until the request has landed, or long enough to see that it does not."""
    ends = time.monotonic() + (3 if is_applied else 0.1)
    while time.monotonic() < ends and not (is_applied and kit.appointments()):
        time.sleep(0.02)
