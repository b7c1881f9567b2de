"""The committed OpenAPI schema is what the views publish."""

import re

import pytest
import yaml
from drf_spectacular.generators import SchemaGenerator
from jsonschema import Draft202012Validator
from rest_framework.serializers import CharField

from django_meetergo.contrib.rest_framework import examples
from django_meetergo.contrib.rest_framework.problems import PROBLEM_TYPES
from django_meetergo.contrib.rest_framework.schema import FILE, URLCONF, build_schema
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


def list_operations(schema):
    return [one for path in schema["paths"].values() for one in path.values()]


def find_component(schema, node):
    return schema["components"]["schemas"][node["$ref"].rpartition("/")[2]]


def get_uri(schema, problem):
    """Return the one value that the type of this problem can have."""
    [uri] = find_component(schema, problem["properties"]["type"])["enum"]
    return uri


def list_problems(schema, answer):
    """Return the components of the problems that one answer can be."""
    component = find_component(schema, answer["content"]["application/problem+json"]["schema"])
    if "oneOf" not in component:
        return [component]
    assert component["discriminator"]["propertyName"] == "type"
    problems = [find_component(schema, one) for one in component["oneOf"]]
    assert set(component["discriminator"]["mapping"]) == {get_uri(schema, one) for one in problems}
    return problems


def test_every_problem_is_told_apart_by_its_type():
    """Each operation lists the types that it can answer, and each type has its status."""
    schema = yaml.safe_load(FILE.read_text())
    found = set()
    for operation in list_operations(schema):
        for status, answer in operation["responses"].items():
            if int(status) >= 400:
                for problem in list_problems(schema, answer):
                    assert problem["properties"]["status"]["minimum"] == int(status)
                    found.add(get_uri(schema, problem))
    never_described = {"method-not-allowed"}  # an operation that does not exist
    assert found == {one.uri for one in PROBLEM_TYPES if one.name not in never_described}


def test_every_operation_has_a_summary_and_describes_retry_after_and_rates():
    schema = yaml.safe_load(FILE.read_text())
    assert schema["info"]["license"]["identifier"] == "BSD-3-Clause"
    for operation in list_operations(schema):
        assert operation["summary"]
        for status in ("429", "503"):
            assert "Retry-After" in operation["responses"][status]["headers"]
        assert "RateLimit-Remaining" in operation["responses"]["429"]["headers"]


def list_examples(schema):
    """Return each content of a request or an answer that has examples."""
    for operation in list_operations(schema):
        for part in (operation.get("requestBody", {}), *operation["responses"].values()):
            yield from (one for one in part.get("content", {}).values() if "examples" in one)


def test_examples_match_their_schema_with_every_member():
    schema = yaml.safe_load(FILE.read_text())
    checked = 0
    for content in list_examples(schema):
        document = {**content["schema"], "components": schema["components"]}
        validator = Draft202012Validator(document, format_checker=Draft202012Validator.FORMAT_CHECKER)
        for example in content["examples"].values():
            assert [error.message for error in validator.iter_errors(example["value"])] == []
            checked += 1
    assert checked == 7


def test_examples_have_no_unknown_member():
    schema = yaml.safe_load(FILE.read_text())
    members = {
        name: set(component.get("properties", {}))
        for name, component in schema["components"]["schemas"].items()
    }
    assert set(examples.CONFIRMED) == members["Booking"]
    assert set(examples.CONFIRMED["appointment"]) == members["Booked"]
    assert set(examples.FREE_TIMES) == members["Availability"]


def test_optional_members_of_requests_have_no_default():
    """Generators of clients make members with a default mandatory."""
    schema = yaml.safe_load(FILE.read_text())
    for name, component in schema["components"]["schemas"].items():
        for member, described in component.get("properties", {}).items():
            assert "default" not in described, (name, member)


def test_a_sites_own_schema_has_the_same_names_for_enums(recwarn):
    """drf-spectacular with its own settings and hooks finds nothing to rename."""
    schema = SchemaGenerator(urlconf=URLCONF).get_schema(request=None, public=True)
    names = set(schema["components"]["schemas"])
    assert {"BookingState", "BookingReason", "ChangeNotAllowedReason", "Channel"} <= names
    assert [name for name in names if re.search(r"[0-9a-f]{3}Enum$", name)] == []
    shipped = yaml.safe_load(FILE.read_text())["components"]["schemas"]
    assert set(shipped) <= names
