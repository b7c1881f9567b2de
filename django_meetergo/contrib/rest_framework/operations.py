"""Describe operations for the OpenAPI schema: parameters, headers and answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema

from django_meetergo.contrib.rest_framework import problems
from django_meetergo.contrib.rest_framework.serializers.problems import (
    ConflictSerializer,
    InvalidSerializer,
    ProblemSerializer,
    UnavailableSerializer,
)

F = TypeVar("F", bound=Callable[..., Any])

TOKEN = OpenApiParameter("token", str, OpenApiParameter.PATH, description="A signed token.")
#: Statuses of operations that read a body.
WITH_BODY = (400, 413, 415, 422)
#: Statuses of every operation.
ALWAYS = (401, 406, 429, 503)
SERIALIZERS: Mapping[int, Any] = {
    409: ConflictSerializer,
    422: InvalidSerializer,
    503: UnavailableSerializer,
}


def describe_operation(**description: Any) -> Callable[[F], F]:
    """Return a decorator that describes a view method, as ``extend_schema`` does.

    The method keeps drf-spectacular's own schema class even where the site has set another one, so that the
    operation is described the same in the shipped schema and in the site's own.
    """

    def decorate(method: F) -> F:
        method.schema = AutoSchema()  # type: ignore[attr-defined]
        described: F = extend_schema(**description)(method)
        return described

    return decorate


def build_responses(documents: Mapping[int, Any], *errors: int) -> dict[Any, Any]:
    """Return the answers of an operation: its documents by status, and problems for the error statuses."""
    responses: dict[Any, Any] = {
        (status, "application/json"): OpenApiResponse(serializer) for status, serializer in documents.items()
    }
    for status in sorted({*errors, *ALWAYS}):
        titles = " / ".join(kind.title for kind in problems.PROBLEM_TYPES if kind.status == status)
        serializer = SERIALIZERS.get(status, ProblemSerializer)
        responses[status, problems.CONTENT_TYPE] = OpenApiResponse(serializer, description=titles)
    return responses


def build_header(name: str, description: str, *statuses: int, kind: Any = str) -> OpenApiParameter:
    """Return a header of the answers with these statuses; of all answers where none is named."""
    return OpenApiParameter(
        name, kind, OpenApiParameter.HEADER, description=description, response=list(statuses) or True
    )


def build_retry_after(*statuses: int) -> OpenApiParameter:
    """Return the ``Retry-After`` header of these answers and of 429 and 503."""
    return build_header(
        "Retry-After", "Seconds to wait before the next request.", *statuses, 429, 503, kind=int
    )
