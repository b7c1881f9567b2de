"""Describe operations for the OpenAPI schema: parameters, headers and answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from http import HTTPStatus
from itertools import groupby
from typing import Any, TypeVar

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import (
    OpenApiParameter,
    OpenApiResponse,
    PolymorphicProxySerializer,
    extend_schema,
)

from django_meetergo.contrib.rest_framework import problems
from django_meetergo.contrib.rest_framework.problems import CONTENT_TYPE, ProblemType
from django_meetergo.contrib.rest_framework.serializers.problems import SERIALIZERS

F = TypeVar("F", bound=Callable[..., Any])

TOKEN = OpenApiParameter("token", str, OpenApiParameter.PATH, description="A signed token.")
ETAG = OpenApiParameter(
    "ETag",
    str,
    OpenApiParameter.HEADER,
    description="Send it as `If-None-Match` to get 304 while nothing has changed.",
    response=[200],
)
#: Problems of every operation, of those that read a body, and of those for staff.
ALWAYS = (
    problems.NOT_AUTHENTICATED,
    problems.NOT_ACCEPTABLE,
    problems.THROTTLED,
    problems.UNAVAILABLE,
    problems.DATABASE,
)
WITH_BODY = (problems.MALFORMED, problems.TOO_LARGE, problems.MEDIA_TYPE, problems.INVALID)
FOR_STAFF = (problems.FORBIDDEN,)
#: Problems of a request to cancel or to reschedule.
CHANGE = (problems.CHANGE_NOT_ALLOWED, problems.CHANGE_REFUSED, problems.CHANGE_IN_PROGRESS)

RATE_LIMIT_HEADERS = {
    "RateLimit-Limit": "Requests allowed in the period of this rate.",
    "RateLimit-Remaining": "Requests left in the period.",
    "RateLimit-Reset": "Seconds until a request is allowed again that is not now.",
}


def describe_operation(
    operation_id: str,
    summary: str,
    documents: Mapping[int, Any],
    *errors: ProblemType,
    parameters: Sequence[Any] = (),
    retry_after: Iterable[int] = (),
    **options: Any,
) -> Callable[[F], F]:
    """Return a decorator that describes a view method.

    ``documents`` are the serializers of successful answers by status, ``errors`` the problem types besides
    those of every operation, ``retry_after`` the successful statuses with that header. The method keeps
    drf-spectacular's own schema class even where the site has set another one, so that the operation is
    described the same in the shipped schema and in the site's own.
    """
    headers = [
        build_header("Retry-After", "Seconds to wait before the next request.", *retry_after, 429, 503),
        *(build_header(name, text, *documents, 429) for name, text in RATE_LIMIT_HEADERS.items()),
    ]

    def decorate(method: F) -> F:
        method.schema = AutoSchema()  # type: ignore[attr-defined]
        described: F = extend_schema(
            operation_id=operation_id,
            summary=summary,
            parameters=[*parameters, *headers],
            responses=build_responses(operation_id, documents, {*errors, *ALWAYS}),
            **options,
        )(method)
        return described

    return decorate


def build_responses(
    operation_id: str, documents: Mapping[int, Any], errors: Iterable[ProblemType]
) -> dict[Any, Any]:
    """Return the answers of an operation: documents by status, and problems by their status."""
    responses: dict[Any, Any] = {
        (status, "application/json"): OpenApiResponse(serializer) for status, serializer in documents.items()
    }
    ordered = sorted(errors, key=lambda kind: (kind.status, problems.PROBLEM_TYPES.index(kind)))
    for status, kinds in groupby(ordered, key=lambda kind: kind.status):
        responses[int(status), CONTENT_TYPE] = build_problem_response(operation_id, status, list(kinds))
    return responses


def build_problem_response(
    operation_id: str, status: HTTPStatus, kinds: list[ProblemType]
) -> OpenApiResponse:
    """Return one status of an operation: a problem document, or a choice of them told apart by ``type``."""
    description = " / ".join(kind.title for kind in kinds)
    if len(kinds) == 1:
        return OpenApiResponse(SERIALIZERS[kinds[0]], description=description)
    is_everywhere = set(kinds) <= set(ALWAYS)
    name = f"{'common' if is_everywhere else operation_id}_{status.phrase}_problem"
    choice = PolymorphicProxySerializer(
        component_name=name.title().replace("_", "").replace(" ", ""),
        serializers={kind.uri: SERIALIZERS[kind] for kind in kinds},
        resource_type_field_name="type",
    )
    return OpenApiResponse(choice, description=description)


def build_header(name: str, description: str, *statuses: int, kind: Any = None) -> OpenApiParameter:
    """Return a header of the answers with these statuses; seconds or a number unless ``kind`` is given."""
    return OpenApiParameter(
        name,
        kind or {"type": "integer", "minimum": 0},
        OpenApiParameter.HEADER,
        description=description,
        response=list(statuses),
    )
