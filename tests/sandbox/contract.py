"""The recorded contract: a response that it does not document fails the test."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import yaml
from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from tests.recordings import FOLDER

URN = "urn:meetergo"


class ContractError(AssertionError):
    """A response the contract does not document."""


@cache
def load_contract() -> Contract:
    """Return the contract; it is read once."""
    return Contract(yaml.safe_load((FOLDER / "meetergo-openapi.yaml").read_text(encoding="utf-8")))


class Contract:
    """Checks responses against the OpenAPI document."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self._registry: Any = Registry().with_resource(
            URN, Resource(contents=document, specification=DRAFT202012)
        )
        self._validators: dict[str, Draft202012Validator] = {}

    def check_response(self, method: str, path: str, status: int, body: bytes) -> None:
        """Raise ``ContractError`` unless the route documents this status with this body."""
        template = self.find_template(method, path)
        responses = self.document["paths"][template][method.lower()]["responses"]
        if str(status) not in responses:
            raise ContractError(f"{method} {template} does not document {status}: {body[:300]!r}")
        pointer = f"/paths/{_escape(template)}/{method.lower()}/responses/{status}"
        response = responses[str(status)]
        if "$ref" in response:
            pointer = response["$ref"].removeprefix("#")
            response = self.document["components"]["responses"][pointer.rpartition("/")[2]]
        if status == 204 and body:
            raise ContractError(f"{method} {template} sent a body with 204")
        if "content" in response:
            self._check(
                json.loads(body), f"{pointer}/content/application~1json/schema", f"{method} {template}"
            )

    def check_schema(self, document: Any, name: str) -> None:
        """Raise ``ContractError`` unless a document matches a named schema; ``array:X`` is a list of X."""
        items, single = name.startswith("array:"), name.removeprefix("array:")
        if single == "any":
            return
        if items and not isinstance(document, list):
            raise ContractError(f"{name} must be a list")
        for one in document if items else [document]:
            self._check(one, f"/components/schemas/{single}", name)

    def find_template(self, method: str, path: str) -> str:
        """Return the documented template of a path. Fixed words win over parameters."""
        parts = path.strip("/").split("/")
        fitting = [
            template
            for template, operations in self.document["paths"].items()
            if method.lower() in operations and _fits(template.strip("/").split("/"), parts)
        ]
        if not fitting:
            raise ContractError(f"{method} {path} is not documented")
        return min(fitting, key=lambda template: template.count("{"))

    def _check(self, document: Any, pointer: str, where: str) -> None:
        if pointer not in self._validators:
            schema = {"$ref": f"{URN}#{pointer}"}
            self._validators[pointer] = Draft202012Validator(
                schema, registry=self._registry, format_checker=FormatChecker()
            )
        errors = sorted(self._validators[pointer].iter_errors(document), key=str)
        if errors:
            raise ContractError(f"{where}: {errors[0].json_path}: {errors[0].message[:500]}")


def list_paths(document: Any, path: str = "") -> set[str]:
    """Return the paths of all keys in a document. Items of a list share one path; free keys do not count."""
    if path.endswith((".notes", ".customFields", ".metadata")):
        return set()
    if isinstance(document, dict):
        children = [(f"{path}.{key}", value) for key, value in document.items()]
        return {key for key, _ in children}.union(*(list_paths(value, key) for key, value in children))
    if isinstance(document, list):
        return set().union(*(list_paths(item, f"{path}[]") for item in document))
    return set()


def _escape(template: str) -> str:
    # "{" has to be percent-encoded in a URI fragment, "/" escaped in a JSON pointer.
    return template.replace("~", "~0").replace("/", "~1").replace("{", "%7B").replace("}", "%7D")


def _fits(template: list[str], parts: list[str]) -> bool:
    return len(template) == len(parts) and all(
        part and (mine == part or mine.startswith("{")) for mine, part in zip(template, parts, strict=True)
    )
