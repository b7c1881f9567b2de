"""The recordings agree with the contract they illustrate."""

import json

import pytest

from tests.sandbox.contract import RECORDINGS, ContractError, load_contract

INDEX = json.loads((RECORDINGS / "payloads" / "index.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("entry", INDEX, ids=[entry["file"] for entry in INDEX])
def test_each_recording_matches_its_schema(entry):
    """Every recorded body is valid under the schema the index names."""
    body = json.loads((RECORDINGS / "payloads" / entry["file"]).read_text(encoding="utf-8"))
    load_contract().check_schema(body, entry["schema"])


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
