"""The webhook endpoint stores deliveries quickly and trusts no content."""

import json
from io import BytesIO

import pytest
from django.db import DatabaseError, OperationalError
from django.test import Client

from django_meetergo.models import WebhookDelivery

pytestmark = pytest.mark.django_db(transaction=True)

URL = "/book/webhooks/a-token-that-only-the-tests-know-about/"
DELIVERY = {"webhookType": "booking_created", "id": "abc", "data": {"id": "abc"}}


def deliver(path=URL, body=None, **extra):
    content = json.dumps(DELIVERY if body is None else body) if not isinstance(body, bytes) else body
    return Client(enforce_csrf_checks=True).post(
        path, content, **{"content_type": "application/json", **extra}
    )


def test_a_delivery_is_stored_and_answered_with_an_empty_object():
    answer = deliver()
    assert (answer.status_code, answer.content) == (200, b"{}")
    assert WebhookDelivery.objects.count() == 1


def test_a_repeated_delivery_is_counted(django_assert_max_num_queries):
    deliver()
    with django_assert_max_num_queries(2):
        assert deliver().status_code == 200
    assert WebhookDelivery.objects.get().receive_count == 2


def test_an_unknown_token_answers_404_with_the_same_body():
    answer = deliver("/book/webhooks/guess/")
    assert (answer.status_code, answer.content) == (404, b"{}")
    assert not WebhookDelivery.objects.exists()


@pytest.mark.parametrize("body", [b"{", b"\xff\xfe", b"[" * 30 + b"]" * 30])
def test_an_invalid_document_answers_400(body):
    assert deliver(body=body).status_code == 400


def test_a_large_body_answers_413_before_it_is_read():
    assert deliver(body=b" " * (256 * 1024 + 1)).status_code == 413


def test_only_json_posts_are_accepted():
    assert deliver(content_type="text/plain").status_code == 415
    assert Client().get(URL).status_code == 405


def test_a_lost_database_answers_503_so_that_the_delivery_is_repeated(monkeypatch, caplog):
    def raise_lost(**kwargs):
        raise OperationalError("gone")

    monkeypatch.setattr("django_meetergo.views.webhook.receive_delivery", raise_lost)
    assert deliver().status_code == 503
    assert "The database is away" in caplog.text
    assert URL not in caplog.text


def test_a_missing_table_is_an_error_and_not_a_lost_database(monkeypatch):
    monkeypatch.setattr(WebhookDelivery._meta, "db_table", "no_such_table")

    with pytest.raises(DatabaseError, match="no_such_table"):
        deliver()


def deliver_chunked(body, **environ):
    """Send a body without Content-Length, as the WSGI server hands it over."""
    stream = {"wsgi.input": BytesIO(body), "CONTENT_LENGTH": "", "HTTP_TRANSFER_ENCODING": "chunked"}
    return Client().generic("POST", URL, b"{}", content_type="application/json", **stream, **environ)


def test_a_chunked_delivery_is_stored():
    body = json.dumps(DELIVERY).encode()
    assert deliver_chunked(body, **{"wsgi.input_terminated": True}).status_code == 200
    assert WebhookDelivery.objects.count() == 1
    assert deliver_chunked(b" " * (256 * 1024 + 1), **{"wsgi.input_terminated": True}).status_code == 413


def test_a_chunked_delivery_that_the_server_does_not_decode_is_refused_with_the_reason():
    assert deliver_chunked(b"{}").status_code == 411
