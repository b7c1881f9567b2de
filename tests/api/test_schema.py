"""The published schema is what the views do."""

import pytest
import yaml
from rest_framework.serializers import CharField

from django_meetergo.contrib.rest_framework import serializers
from django_meetergo.contrib.rest_framework.published import FILE, build_schema
from tests.api import write_schema

pytestmark = pytest.mark.django_db


def test_the_published_schema_has_not_drifted():
    """After a change that is meant: ``python -m tests.api.write_schema``."""
    assert FILE.read_text() == build_schema(), (
        "Run python -m tests.api.write_schema and look at the difference."
    )


def test_it_is_openapi_3_1_and_every_operation_is_complete():
    schema = yaml.safe_load(FILE.read_text())
    assert schema["openapi"].startswith("3.1")
    operations = [one for path in schema["paths"].values() for one in path.values()]
    assert len(operations) == 16
    assert len({one["operationId"] for one in operations}) == len(operations)
    for one in operations:
        assert one["description"]
        assert {"429", "503"} <= set(one["responses"])
        assert "security" in one


def test_it_is_served_below_the_api(front_end):
    answer = front_end.get("/openapi.yaml")
    assert answer.status_code == 200
    assert answer.content == FILE.read_bytes()


def test_a_change_that_nobody_wrote_down_is_noticed(monkeypatch, tmp_path):
    """The guard can fail, for what goes out as for what comes in, and writing it down is what mends it."""
    committed = tmp_path / "openapi.yaml"
    committed.write_text(FILE.read_text())
    monkeypatch.setattr("django_meetergo.contrib.rest_framework.published.FILE", committed)
    for serializer in (serializers.BookingSerializer, serializers.BookingRequestSerializer):
        fields = {**serializer._declared_fields, "added": CharField()}
        monkeypatch.setattr(serializer, "_declared_fields", fields)
        assert committed.read_text() != build_schema()
        write_schema.write()
        assert committed.read_text() == build_schema()
        assert committed.read_text() != FILE.read_text()
