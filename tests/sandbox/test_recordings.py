"""The recordings agree with the contract they illustrate, and so do those that a site makes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from django_meetergo.sandbox import seed
from django_meetergo.services.recording import Redactor
from tests.recordings import PAYLOADS, list_recordings, read_folder
from tests.sandbox.contract import ContractError, list_paths, load_contract


@pytest.mark.parametrize("recording", list_recordings(), ids=str)
def test_each_recording_matches_its_schema(recording):
    """Every recorded body is valid under the schema the index names."""
    load_contract().check_schema(recording.load(), recording.schema)


def test_undocumented_responses_are_refused():
    """A body of the wrong shape, an unknown status and an unknown route are all refused."""
    contract = load_contract()
    for method, path, status, body in (
        ("GET", "/v4/appointment/x", 200, b'{"id": 1}'),
        ("GET", "/v4/appointment/x", 418, b"{}"),
        ("GET", "/v4/nowhere", 200, b"{}"),
    ):
        with pytest.raises(ContractError):
            contract.check_response(method, path, status, body)


# Recordings of real answers


@pytest.fixture
def folder(meetergo_sandbox, tmp_path: Path) -> Path:
    for slug in ("intro-call", "group-class", "next-therapist"):
        meetergo_sandbox.book_elsewhere(meetergo_sandbox.list_free_starts(slug)[0], slug)
    call_command("meetergo_webhooks", "ensure", verbosity=0)
    folder = tmp_path / "recorded"
    call_command("meetergo_doctor", "--record", str(folder), verbosity=0)
    return folder


@pytest.mark.django_db
def test_recorded_answers_match_the_contract_and_hold_no_person(folder):
    """Each kind of read is there, fits its schema, and names nobody, no text, no secret and no id."""
    recordings = read_folder(folder)
    kinds = {recording.schema for recording in recordings}
    text = "".join(path.read_text(encoding="utf-8") for path in folder.iterdir())

    for recording in recordings:
        load_contract().check_schema(recording.load(), recording.schema)
    assert kinds >= {"User", "UserList", "array:MeetingType", "MeetingType", "Queue", "AvailabilityV4"}
    assert kinds >= {
        "Appointment",
        "array:Appointment",
        "array:DataField",
        "AppointmentPage",
        "array:Webhook",
    }
    for private in (
        "Anna",
        "Intro",
        "clinic",
        "@",
        seed.ANNA,
        seed.INTRO_CALL,
        seed.ADMIN_TOKEN,
        "/meetergo/webhook",
    ):
        found = [line for line in text.splitlines() if private in line and "@example.com" not in line]
        assert found == [], private


@pytest.mark.django_db
def test_recorded_documents_still_belong_together(folder):
    """The id of an appointment is the same in the list and in its own document."""
    documents = {recording.path.stem: recording.load() for recording in read_folder(folder)}

    assert documents["appointment"]["id"] in {
        one["id"] for one in documents["appointments_paginated"]["appointments"]
    }
    assert documents["meeting_type_1"]["id"] == documents["meeting_types_list"][0]["id"]


@pytest.mark.parametrize("recording", read_folder(PAYLOADS), ids=str)
def test_redacting_changes_no_structure(recording):
    """Every key and every type is kept, so that a parser behaves as it did with the original."""
    document = recording.load()
    redacted = Redactor().redact(document)

    assert list_paths(redacted) == list_paths(document)
    load_contract().check_schema(redacted, recording.schema)


def test_what_people_have_written_is_replaced():
    """Names, addresses, numbers, links, and questions that became keys."""
    written = {
        "type": "Mr Miller, 5 Elm Street",
        "status": "confirmed",
        "start": "2026-10-23T07:00:00.000Z",
        "fullName": "Jane Miller",
        "email": "jane@miller.example",
        "phone": "+49 30 5550100",
        "meetingLink": "https://video.example.net/j/99?pwd=abc",
        "zoomMeetingId": 12345678901,
        "id": 1492,
        "customFields": {"What troubles Jane?": "her knee", "born": "1980-02-03", "type": "Jane", "age": 46},
        "position": 52.5163,
    }
    redacted = Redactor().redact(written)

    kept = {key for key, value in written.items() if redacted.get(key) == value}
    text = json.dumps(redacted)
    assert kept == {"status", "start"}
    assert not any(
        word in text
        for word in (
            "Miller",
            "miller",
            "Jane",
            "knee",
            "5550100",
            "pwd",
            "12345678901",
            "52.5",
            "1980",
            "46",
        )
    )


@pytest.mark.django_db
def test_a_folder_with_files_is_left_alone(meetergo_sandbox, tmp_path):
    """Nothing is overwritten, and the message says what helps."""
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")

    with pytest.raises(CommandError, match="Name a new one"):
        call_command("meetergo_doctor", "--record", str(tmp_path), verbosity=0)

    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.django_db
def test_an_answer_that_is_not_understood_is_recorded(meetergo_sandbox, tmp_path, capsys):
    """It is the one that teaches most. What is not even JSON is named and left out."""
    meetergo_sandbox.fail_next("GET /v4/user/me", "garbage")
    call_command("meetergo_doctor", "--record", str(tmp_path / "recorded"))

    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("not saved: ")
    assert "users_list.json: ok" in lines
