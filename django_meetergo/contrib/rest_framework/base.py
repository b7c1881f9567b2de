"""What every door of this API has in common: how it reads, answers, counts and says no."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from uuid import UUID

from django.conf import settings as django_settings
from django.db import models, transaction
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.authentication import BasicAuthentication, RemoteUserAuthentication, SessionAuthentication
from rest_framework.exceptions import NotFound, ParseError
from rest_framework.parsers import JSONParser
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.renderers import BrowsableAPIRenderer, JSONRenderer
from rest_framework.response import Response
from rest_framework.views import APIView

from django_meetergo import links
from django_meetergo.contrib.rest_framework import problems
from django_meetergo.contrib.rest_framework.problems import CONTENT_TYPE, TOO_LARGE, Problem
from django_meetergo.contrib.rest_framework.serializers import (
    ConflictSerializer,
    InvalidSerializer,
    ProblemSerializer,
    UnavailableSerializer,
)
from django_meetergo.contrib.rest_framework.throttling import SchedulingThrottle

T = TypeVar("T", bound=models.Model)
F = TypeVar("F", bound=Callable[..., Any])

MAX_BODY = 128 * 1024
#: What a browser sends by itself, whoever wrote the page it comes from.
SENT_UNASKED = (SessionAuthentication, BasicAuthentication, RemoteUserAuthentication)


class SmallJSONParser(JSONParser):  # type: ignore[misc]
    """JSON of a size and depth that a form can have."""

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        if int(parser_context["request"].META.get("CONTENT_LENGTH") or 0) > MAX_BODY:
            raise Problem(TOO_LARGE)
        try:
            return super().parse(stream, media_type, parser_context)
        except RecursionError as error:
            raise ParseError from error


class MeetergoView(APIView):  # type: ignore[misc]
    """A view that opens no transaction, since services commit before they telephone."""

    schema = AutoSchema()
    parser_classes = [SmallJSONParser]
    renderer_classes = [JSONRenderer]
    throttle_classes = [SchedulingThrottle]
    versioning_class = None
    cache_control = "no-store"

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Any:
        return transaction.non_atomic_requests(super().as_view(**initkwargs))

    def get_renderers(self) -> list[Any]:
        browsable = [BrowsableAPIRenderer()] if django_settings.DEBUG else []
        return [*super().get_renderers(), *browsable]

    def get_exception_handler(self) -> Any:
        return problems.answer

    def finalize_response(self, request: Any, response: Any, *args: Any, **kwargs: Any) -> Any:
        response = super().finalize_response(request, response, *args, **kwargs)
        response.setdefault(
            "Cache-Control", self.cache_control if response.status_code == 200 else "no-store"
        )
        return response

    def read(self, serializer_class: Any) -> dict[str, Any]:
        """The body, checked; raises with every field that is wrong."""
        serializer = serializer_class(data=self.request.data)
        serializer.is_valid(raise_exception=True)
        return dict(serializer.validated_data)

    def show(self, serializer_class: Any, row: Any, **options: Any) -> Response:
        return Response(serializer_class(row, context=self.get_context()).data, **options)

    def get_context(self) -> dict[str, Any]:
        return {"request": self.request, "view": self}


class PublicView(MeetergoView):
    """Open to anybody, and deaf to cookies.

    What a browser sends by itself is not looked at, so no other site can act in somebody's name. Credentials
    that a client adds on purpose, such as a token, are the site's to accept: they say whose booking it is.
    """

    permission_classes = [AllowAny]

    def get_authenticators(self) -> list[Any]:
        return [one for one in super().get_authenticators() if not isinstance(one, SENT_UNASKED)]


class StaffView(MeetergoView):
    """Only for people who are signed in; what they may do is asked for each row."""

    permission_classes = [IsAuthenticated]


def find_user(request: Any) -> Any:
    user = request.user
    return user if user is not None and user.is_authenticated else None


def find_by_token(rows: models.QuerySet[T], token: str, *, salt: str) -> T:
    """The row a token opens; whatever is wrong with it, there is nothing here."""
    public_id: UUID | None = links.unsign(token, salt=salt)
    row = rows.filter(public_id=public_id).first() if public_id else None
    if row is None:
        raise NotFound
    return row


# What the schema says of all of them


def document(**said: Any) -> Callable[[F], F]:
    """Describe an operation. The site's own choice of a schema class does not matter here."""

    def decorate(method: F) -> F:
        method.schema = AutoSchema()  # type: ignore[attr-defined]
        described: F = extend_schema(**said)(method)
        return described

    return decorate


TOKEN = OpenApiParameter("token", str, OpenApiParameter.PATH, description="A signed token.")
RETRY_AFTER = {"type": "integer", "minimum": 0}
WITH_BODY = (400, 413, 415, 422)
ALWAYS = (401, 406, 429, 503)
SERIALIZERS: Mapping[int, Any] = {
    409: ConflictSerializer,
    422: InvalidSerializer,
    503: UnavailableSerializer,
}


def build_responses(good: Mapping[int, Any], *bad: int) -> dict[Any, Any]:
    """The answers of an operation: good ones with their documents, the others as problems."""
    told: dict[Any, Any] = {
        (status, "application/json"): OpenApiResponse(serializer) for status, serializer in good.items()
    }
    for status in sorted({*bad, *ALWAYS}):
        titles = " / ".join(kind.title for kind in problems.KINDS if kind.status == status)
        serializer = SERIALIZERS.get(status, ProblemSerializer)
        told[status, CONTENT_TYPE] = OpenApiResponse(serializer, description=titles)
    return told


def build_header(name: str, text: str, *statuses: int, kind: Any = str) -> OpenApiParameter:
    return OpenApiParameter(
        name, kind, OpenApiParameter.HEADER, description=text, response=list(statuses) or True
    )
