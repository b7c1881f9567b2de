"""One odd entry never hides or stops its neighbours, whatever it contains.

Lists made of the recordings are mutated entry by entry, sent over the wire as text, parsed and stored.
"""

from __future__ import annotations

import copy
import json
from collections import Counter
from itertools import count

import pytest
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from django_meetergo.models import Appointment, Host, MeetingType, WebhookDelivery
from django_meetergo.remote import payloads
from django_meetergo.remote.answer import Answer
from django_meetergo.services.mirror.appointments import record_appointments
from django_meetergo.services.mirror.directory import record_hosts, record_meeting_types
from tests.remote.test_payloads import load

pytestmark = pytest.mark.django_db

EXAMPLES = 60
GOOD, ODD = 3, 6  # with fewer, chance alone may leave too few examples in which something is skipped
#: Texts that stand for what ``json.dumps`` cannot write. They are replaced in the text that is sent.
HUGE_FLOAT, HUGE_INT, NOT_A_NUMBER, NEST = "@float@", "@int@", "@nan@", "@nest@"
WRITTEN = {
    HUGE_FLOAT: "1e400", HUGE_INT: "9" * 5000, NOT_A_NUMBER: "NaN", NEST: "[" * 3000 + "]" * 3000,
}  # fmt: skip

WRONG_IDS = st.sampled_from(
    [
        "",
        ".",
        "..",
        "../x",
        "a/b",
        "x" * 129,
        "with space",
        "line\nbreak",
        "\x00",
        "\ud800",
        0,
        -1,
        2**70,
        True,
        None,
    ]
)
WRONG_VALUES = st.one_of(
    # Containers are built anew: a later change must not reach the next example.
    st.none(), st.booleans(), st.builds(list), st.builds(dict), st.builds(lambda: [None]), st.integers(),
    st.just(2**40),
    st.sampled_from(list(WRITTEN)), st.text(max_size=5), st.sampled_from(["\x00\x1b[0m\u2028", "x" * 12_000]),
    st.sampled_from(["9999-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00", "javascript:alert(1)"]),
)  # fmt: skip


@st.composite
def mutate(draw, document):
    """Return a copy of a document with up to four random changes."""
    document = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, 4))):
        parents = list(list_containers(document))
        parent = parents[draw(st.integers(0, len(parents) - 1))]
        keys = list(parent) if isinstance(parent, dict) else list(range(len(parent)))
        if not keys:
            continue
        key = draw(st.sampled_from(keys))
        change = draw(st.sampled_from(["drop", "duplicate", "retype", "enlarge", "reorder", "wrong id"]))
        if change == "drop":
            del parent[key]
        elif change == "duplicate" and isinstance(parent, list):
            parent.insert(key, copy.deepcopy(parent[key]))
        elif change == "reorder" and isinstance(parent, list):
            parent.reverse()
        elif change == "enlarge":
            parent[key] = enlarge(parent[key])
        elif change == "wrong id":
            if isinstance(document, dict) and draw(st.booleans()):
                document["id"] = draw(WRONG_IDS)
            else:
                parent[key] = draw(WRONG_IDS)
        else:
            parent[key] = draw(WRONG_VALUES)
    return document


def enlarge(value):
    if isinstance(value, str):
        return value * (20_000 // max(len(value), 1))
    return value * 20 if isinstance(value, list) and len(value) < 20 else HUGE_INT


def list_containers(value):
    """Yield every object and list of a document."""
    if isinstance(value, dict | list):
        yield value
        for item in value.values() if isinstance(value, dict) else value:
            yield from list_containers(item)


def send(document) -> Answer:
    """Return an answer whose body is the document as the wire carries it."""
    text = json.dumps(document)
    for placeholder, written in WRITTEN.items():
        text = text.replace(f'"{placeholder}"', written)
    return Answer(status=200, method="GET", route="/list", body=text.encode())


numbers = count(1)


def number_ids(document, number):
    """Give the document and its attendees ids of their own."""
    document = copy.deepcopy(document) | {"id": f"id-{number}"}
    for position, attendee in enumerate(document.get("attendees") or []):
        attendee["id"] = f"attendee-{number}-{position}"
    return document


@st.composite
def lists(draw, *names):
    """Return a list of good and odd entries in random order, and the ids of the good ones."""
    templates = [load(name) for name in names]
    entries = [number_ids(draw(st.sampled_from(templates)), number) for number in range(GOOD + ODD)]
    good, odd = entries[:GOOD], [draw(mutate(entry)) for entry in entries[GOOD:]]
    odd += draw(st.lists(WRONG_VALUES, max_size=2))
    return draw(st.permutations([*good, *odd])), {document["id"] for document in good}


class Share:
    """Counts the examples in which something was skipped and something was stored."""

    def __init__(self):
        self.counted = Counter()

    def note(self, skipped, stored):
        self.counted["examples"] += 1
        self.counted["both"] += bool(skipped) and bool(stored)
        assert all(item.kind and item.id and item.reason for item in skipped)

    def check(self, record_property):
        share = self.counted["both"] / self.counted["examples"]
        record_property("share of examples with something skipped and something stored", share)
        assert share >= 0.3


def check_all(strategy):
    """Run a property over random lists, each with a fresh draw."""

    def decorate(test):
        return settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))(
            given(strategy)(test)
        )

    return decorate


def test_appointments_that_can_be_read_are_stored(meetergo_sandbox, record_property):
    share, now = Share(), meetergo_sandbox.now()

    @check_all(lists("appointment.json", "appointment_group.json", "appointment_cancelled.json"))
    def check(drawn):
        entries, good = drawn
        page = payloads.parse_appointments(send({"appointments": entries, "total": 6}).read_json())
        assert good <= {document.id for document in page}
        Appointment.objects.all().delete()
        record_appointments(connection="default", documents=page, now=now)
        assert Appointment.objects.filter(remote_id__in=good).count() == len(good)
        share.note(page.skipped, page)

    check()
    share.check(record_property)


def test_meeting_types_that_can_be_read_are_stored(meetergo_sandbox, record_property):
    share, now = Share(), meetergo_sandbox.now()

    @check_all(lists("meeting_type.json", "meeting_type_group.json", "meeting_type_queue.json"))
    def check(drawn):
        entries, good = drawn
        types = payloads.parse_meeting_types(send(entries).read_json())
        assert good <= {document.id for document in types}
        MeetingType.objects.all().delete()
        record_meeting_types(connection="default", documents=types, hosts_of={}, now=now)
        assert MeetingType.objects.filter(remote_id__in=good).count() == len(good)
        share.note(types.skipped, types)

    check()
    share.check(record_property)


def test_hosts_that_can_be_read_are_stored(meetergo_sandbox, record_property):
    share, now = Share(), meetergo_sandbox.now()

    @check_all(lists("user_me.json"))
    def check(drawn):
        entries, good = drawn
        page = payloads.parse_host_page(send({"users": entries}).read_json())
        assert good <= {document.id for document in page}
        Host.objects.all().delete()
        record_hosts(connection="default", documents=page, now=now, refresh=True)
        assert Host.objects.filter(remote_id__in=good).count() == len(good)
        share.note(page.skipped, page)

    check()
    share.check(record_property)


def test_webhooks_that_can_be_read_are_listed(record_property):
    share = Share()

    @check_all(lists("webhook.json", "webhook_string_id.json"))
    def check(drawn):
        entries, good = drawn
        webhooks = payloads.parse_webhooks(send(entries).read_json())
        assert good <= {document.id for document in webhooks}
        share.note(webhooks.skipped, webhooks)

    check()
    share.check(record_property)


EVENTS = ("event_booking_created.json", "event_legacy_envelope.json", "event_new_employee.json")


def test_no_delivery_fails_and_every_readable_one_is_kept(meetergo_sandbox, settings):
    [token] = settings.MEETERGO["WEBHOOK_TOKENS"]
    kept = Counter()

    @check_all(st.sampled_from(EVENTS).flatmap(lambda name: mutate(load(name))))
    def check(document):
        body = send(document | {"nonce": next(numbers)}).body
        answer = Client().post(f"/book/webhooks/{token}/", body, content_type="application/json")
        kept[answer.status_code] += 1
        assert answer.status_code in {200, 400, 413}

    check()
    assert kept[200] >= 0.3 * kept.total()
    assert WebhookDelivery.objects.count() == kept[200]
