"""The committed OpenAPI schema is what the views publish."""

import pytest
import yaml
from rest_framework.serializers import CharField

from django_meetergo.contrib.rest_framework.schema import FILE, build_schema
from django_meetergo.contrib.rest_framework.serializers import bookings
from tests.api import write_schema

pytestmark = pytest.mark.django_db


def test_the_committed_schema_is_up_to_date():
    """After an intended change, run ``python -m tests.api.write_schema``."""
    assert FILE.read_text() == build_schema(), (
        "Run python -m tests.api.write_schema and review the difference."
    )


def test_every_operation_is_described_completely():
    schema = yaml.safe_load(FILE.read_text())
    assert schema["openapi"].startswith("3.1")
    operations = [one for path in schema["paths"].values() for one in path.values()]
    assert len(operations) == 16
    assert len({one["operationId"] for one in operations}) == len(operations)
    for one in operations:
        assert one["description"]
        assert {"429", "503"} <= set(one["responses"])
        assert "security" in one


def test_the_schema_is_served(front_end):
    answer = front_end.get("/openapi.yaml")
    assert answer.status_code == 200
    assert answer.content == FILE.read_bytes()


def test_a_change_without_a_new_schema_is_noticed(monkeypatch, tmp_path):
    """The comparison notices a new member of an answer and of a request body; writing the file repairs it."""
    committed = tmp_path / "openapi.yaml"
    committed.write_text(FILE.read_text())
    monkeypatch.setattr("django_meetergo.contrib.rest_framework.schema.FILE", committed)
    for serializer in (bookings.BookingSerializer, bookings.BookingRequestSerializer):
        fields = {**serializer._declared_fields, "added": CharField()}
        monkeypatch.setattr(serializer, "_declared_fields", fields)
        assert committed.read_text() != build_schema()
        write_schema.write()
        assert committed.read_text() == build_schema()
        assert committed.read_text() != FILE.read_text()
