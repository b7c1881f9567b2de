"""Questions as configured at meetergo, mirrored with the directory."""

from __future__ import annotations

import pytest

from django_meetergo.models import DataField, MeetingType, SyncRun

pytestmark = pytest.mark.django_db

LIST = "GET /v4/data-field"


def add_field(kit, **values):
    """Add a data field to the service's list and return its document."""
    document = {"id": f"field-{len(kit.sandbox.state.data_fields)}", "label": "A question", **values}
    kit.sandbox.state.data_fields.append(document)
    return document


def sync(kit):
    kit.sync_directory()
    return {row.name: row for row in DataField.objects.filter(missing_since=None)}


def get_skipped():
    return SyncRun.objects.filter(kind=SyncRun.Kind.DIRECTORY).latest("pk").skipped


def test_the_directory_brings_the_data_fields_in_their_order(meetergo_sandbox):
    found = sync(meetergo_sandbox)

    assert list(found) == ["insurance", "complaint"]
    insurance = found["insurance"]
    assert (insurance.label, insurance.kind, insurance.required) == ("Insurance", "select", False)
    assert insurance.choices == [["public", "Public"], ["private", "Private"]]
    assert found["complaint"].kind == "multiline"


def test_a_changed_field_is_updated_and_a_removed_one_is_marked_missing(meetergo_sandbox):
    sync(meetergo_sandbox)
    fields = meetergo_sandbox.sandbox.state.data_fields
    fields[0] |= {"label": "Who pays?", "required": True}
    del fields[1]

    found = sync(meetergo_sandbox)

    assert list(found) == ["insurance"]
    assert (found["insurance"].label, found["insurance"].required) == ("Who pays?", True)
    assert DataField.objects.get(name="complaint").missing_since
    add_field(meetergo_sandbox, id=DataField.objects.get(name="complaint").remote_id, name="complaint")
    assert set(sync(meetergo_sandbox)) == {"insurance", "complaint"}


@pytest.mark.parametrize("kind", ["currency", "location", "contact", "hologram", None, 7])
def test_an_unknown_type_is_text(meetergo_sandbox, kind):
    add_field(meetergo_sandbox, name="new", fieldType=kind)
    assert sync(meetergo_sandbox)["new"].kind == "text"


@pytest.mark.parametrize("options", [None, [], "red", [None, {}], {"a": 1}])
def test_a_choice_without_choices_is_text(meetergo_sandbox, options):
    add_field(meetergo_sandbox, name="colour", fieldType="radio", options=options)
    assert sync(meetergo_sandbox)["colour"].kind == "text"


def test_choices_may_be_plain_texts_and_come_once(meetergo_sandbox):
    options = ["red", {"value": "blue"}, {"label": "Red again", "value": "red"}, {"label": "Green"}, 3]
    add_field(meetergo_sandbox, name="colour", fieldType="radio", options=options)
    assert sync(meetergo_sandbox)["colour"].choices == [
        ["red", "red"],
        ["blue", "blue"],
        ["Green", "Green"],
        ["3", "3"],
    ]


def test_more_than_one_page_is_read(meetergo_sandbox):
    for number in range(150):
        add_field(meetergo_sandbox, name=f"question_{number}")
    assert len(sync(meetergo_sandbox)) == 152


def test_a_list_that_ignores_the_page_is_read_once(meetergo_sandbox, monkeypatch):
    """Or the sync would never end."""
    for number in range(98):
        add_field(meetergo_sandbox, name=f"question_{number}")
    client = type(meetergo_sandbox.client())
    read = client.list_data_fields
    monkeypatch.setattr(client, "list_data_fields", lambda self, *, limit, offset: read(self, limit=limit))
    assert len(sync(meetergo_sandbox)) == 100


def test_an_unreadable_field_is_skipped_and_its_row_stays(meetergo_sandbox):
    sync(meetergo_sandbox)
    fields = meetergo_sandbox.sandbox.state.data_fields
    fields[0:0] = ["junk", fields[1]]  # the same id twice: the second one is skipped

    assert set(sync(meetergo_sandbox)) == {"insurance", "complaint"}
    assert [entry["kind"] for entry in get_skipped()] == ["data field", "data field"]


@pytest.mark.parametrize("status", [403, 404, 400])
def test_meeting_types_are_read_without_the_right_to_read_data_fields(meetergo_sandbox, status):
    """And what is known of the data fields stays."""
    sync(meetergo_sandbox)
    MeetingType.objects.update(name="old")
    meetergo_sandbox.fail_next(LIST, status=status)

    assert set(sync(meetergo_sandbox)) == {"insurance", "complaint"}
    assert not MeetingType.objects.filter(name="old").exists()
    assert bool(get_skipped()) is (status == 400)


def test_a_required_file_means_that_the_type_is_booked_at_meetergo(meetergo_sandbox):
    """Also when meetergo requires it later, and no longer when it is removed there."""
    document = add_field(meetergo_sandbox, name="scan", fieldType="file", required=False)
    field = sync(meetergo_sandbox)["scan"]
    MeetingType.objects.get(slug="intro-call").data_fields.add(field)

    def list_booked_here():
        sync(meetergo_sandbox)
        found = MeetingType.objects.bookable_here()
        assert [row for row in MeetingType.objects.bookable() if not row.is_booked_at_meetergo] == list(found)
        return set(found.values_list("slug", flat=True))

    assert "intro-call" in list_booked_here()
    document["required"] = True
    assert "intro-call" not in list_booked_here()
    assert "checkup" in list_booked_here()
    meetergo_sandbox.sandbox.state.data_fields.remove(document)
    assert "intro-call" in list_booked_here()


def test_a_choice_of_staff_survives_a_sync(meetergo_sandbox):
    field = sync(meetergo_sandbox)["insurance"]
    MeetingType.objects.get(slug="intro-call").data_fields.add(field)

    sync(meetergo_sandbox)

    assert list(MeetingType.objects.get(slug="intro-call").data_fields.all()) == [field]
    assert not MeetingType.objects.get(slug="checkup").data_fields.exists()
