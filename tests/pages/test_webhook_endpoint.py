"""Whatever knocks is noted, quickly, and nothing is believed."""

import json

import pytest
from django.db import OperationalError
from django.test import Client

from django_meetergo.models import WebhookDelivery

pytestmark = pytest.mark.django_db(transaction=True)

BOX = "/book/webhooks/a-token-that-only-the-tests-know-about/"
KNOCK = {"webhookType": "booking_created", "id": "abc", "data": {"id": "abc"}}


def check_circuit(path=BOX, body=None, **extra):
    content = json.dumps(KNOCK if body is None else body) if not isinstance(body, bytes) else body
    return Client(enforce_csrf_checks=True).post(
        path, content, **{"content_type": "application/json", **extra}
    )


def test_a_knock_is_noted_and_answered_with_nothing():
    answer = check_circuit()
    assert (answer.status_code, answer.content) == (200, b"{}")
    assert WebhookDelivery.objects.count() == 1


def test_a_repeat_only_counts(django_assert_max_num_queries):
    check_circuit()
    with django_assert_max_num_queries(2):
        assert check_circuit().status_code == 200
    assert WebhookDelivery.objects.get().receive_count == 2


def test_an_unknown_token_is_not_found_with_the_same_body():
    answer = check_circuit("/book/webhooks/guess/")
    assert (answer.status_code, answer.content) == (404, b"{}")
    assert not WebhookDelivery.objects.exists()


@pytest.mark.parametrize("body", [b"{", b"\xff\xfe", b"[" * 30 + b"]" * 30])
def test_what_is_not_a_sensible_document_is_refused(body):
    assert check_circuit(body=body).status_code == 400


def test_what_is_too_large_is_refused_before_it_is_read():
    assert check_circuit(body=b" " * (256 * 1024 + 1)).status_code == 413


def test_only_json_is_read_and_only_posts_are_answered():
    assert check_circuit(content_type="text/plain").status_code == 415
    assert Client().get(BOX).status_code == 405


def test_a_database_that_is_down_asks_for_another_knock(monkeypatch):
    def fall(**kwargs):
        raise OperationalError("gone")

    monkeypatch.setattr("django_meetergo.views.webhook.receive_delivery", fall)
    assert check_circuit().status_code == 503
