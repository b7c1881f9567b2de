"""Base classes of the views: parsing, authentication, transactions, caching and errors."""

from __future__ import annotations

import hashlib
from functools import partial
from typing import Any, TypeVar

from django.apps import apps
from django.conf import settings as django_settings
from django.db import models
from django.utils import translation
from django.utils.cache import get_conditional_response, patch_vary_headers
from django.utils.http import quote_etag
from django.utils.translation import get_language_from_request
from drf_spectacular.openapi import AutoSchema
from rest_framework.authentication import BasicAuthentication, RemoteUserAuthentication, SessionAuthentication
from rest_framework.exceptions import NotFound, ParseError
from rest_framework.parsers import JSONParser
from rest_framework.permissions import AllowAny
from rest_framework.renderers import BrowsableAPIRenderer, JSONRenderer
from rest_framework.response import Response
from rest_framework.views import APIView

from django_meetergo import links
from django_meetergo.contrib.rest_framework.problems import TOO_LARGE, Problem, handle_exception
from django_meetergo.contrib.rest_framework.throttling import SchedulingThrottle
from django_meetergo.languages import use_text_language
from django_meetergo.transactions import outside_transactions

T = TypeVar("T", bound=models.Model)

MAX_BODY_BYTES = 128 * 1024
#: Credentials that a browser attaches to a request by itself, whichever site's page sends it.
AMBIENT_AUTHENTICATION = (SessionAuthentication, BasicAuthentication, RemoteUserAuthentication)


class LimitedJSONParser(JSONParser):  # type: ignore[misc]
    """Parse JSON of at most ``MAX_BODY_BYTES``; too deep a document is a parse error, not a crash."""

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        if int(parser_context["request"].META.get("CONTENT_LENGTH") or 0) > MAX_BODY_BYTES:
            raise Problem(TOO_LARGE)
        try:
            return super().parse(stream, media_type, parser_context)
        except RecursionError as error:
            raise ParseError from error


class MeetergoView(APIView):  # type: ignore[misc]
    """A view outside any transaction, since services commit before they call meetergo."""

    schema = AutoSchema()
    parser_classes = [LimitedJSONParser]
    renderer_classes = [JSONRenderer]
    throttle_classes = [SchedulingThrottle]
    versioning_class = None
    #: ``Cache-Control`` of answers with status 200; other answers are never stored.
    cache_control = "no-store"

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Any:
        return outside_transactions(super().as_view(**initkwargs))

    def get_renderers(self) -> list[Any]:
        # Its templates belong to an app that a site may have left out.
        is_browsable = django_settings.DEBUG and apps.is_installed("rest_framework")
        return [*super().get_renderers(), *([BrowsableAPIRenderer()] if is_browsable else [])]

    def get_exception_handler(self) -> Any:
        return handle_exception

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        """Answer in the language that the client prefers, also on a site without ``LocaleMiddleware``."""
        language = get_language_from_request(request, check_path=True)
        with translation.override(language), use_text_language() as language:
            response = super().dispatch(request, *args, **kwargs)
        response.setdefault("Content-Language", language)
        patch_vary_headers(response, ["Accept-Language", "Cookie"])
        return response

    def get_throttles(self) -> list[Any]:
        throttles: list[Any] = super().get_throttles()
        self.throttles = throttles
        return throttles

    def finalize_response(self, request: Any, response: Any, *args: Any, **kwargs: Any) -> Any:
        response = super().finalize_response(request, response, *args, **kwargs)
        is_cacheable = response.status_code == 200 and self.cache_control != "no-store"
        response.setdefault("Cache-Control", self.cache_control if is_cacheable else "no-store")
        for throttle in getattr(self, "throttles", ()):
            if isinstance(throttle, SchedulingThrottle):
                for name, value in throttle.get_headers().items():
                    response[name] = value
        if is_cacheable:
            response.add_post_render_callback(partial(add_etag, request))
        return response

    def validate_body(self, serializer_class: Any) -> dict[str, Any]:
        """Return the validated body. Raises a ValidationError that names every wrong field."""
        serializer = serializer_class(data=self.request.data)
        serializer.is_valid(raise_exception=True)
        return dict(serializer.validated_data)

    def build_response(self, serializer_class: Any, row: Any, **options: Any) -> Response:
        """Return the answer that shows a row; options are those of ``Response``."""
        return Response(serializer_class(row, context=self.get_serializer_context()).data, **options)

    def get_serializer_context(self) -> dict[str, Any]:
        return {"request": self.request, "view": self}


def add_etag(request: Any, response: Any) -> Any:
    """Add an ``ETag`` of the content; return 304 where the client has that content already."""
    response["ETag"] = etag = quote_etag(hashlib.sha256(response.content).hexdigest()[:32])
    return get_conditional_response(request._request, etag=etag, response=response)


class PublicView(MeetergoView):
    """A view for everybody that ignores cookies, HTTP Basic and ``REMOTE_USER``.

    A browser attaches those to requests from any site, so no other site can act in a visitor's name.
    Credentials that a client adds on purpose, such as a token, are checked by the site's own authentication
    classes and decide who owns a booking.
    """

    permission_classes = [AllowAny]

    def get_authenticators(self) -> list[Any]:
        return [one for one in super().get_authenticators() if not isinstance(one, AMBIENT_AUTHENTICATION)]


def get_by_token(rows: models.QuerySet[T], token: str, *, salt: str) -> T:
    """Return the row that a signed token names. Raises NotFound for a wrong token and for a missing row."""
    row = links.find_by_token(rows, token, salt=salt)
    if row is None:
        raise NotFound
    return row
