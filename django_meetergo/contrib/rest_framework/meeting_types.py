"""Meeting types."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import NotFound
from rest_framework.response import Response

from django_meetergo.conf import get_settings
from django_meetergo.contrib.rest_framework.base import PublicView
from django_meetergo.contrib.rest_framework.operations import ETAG, describe_operation
from django_meetergo.contrib.rest_framework.pagination import PARAMETERS, SlugPagination
from django_meetergo.contrib.rest_framework.problems import (
    BOOKED_ELSEWHERE,
    GONE,
    INVALID,
    NOT_FOUND,
    Problem,
)
from django_meetergo.contrib.rest_framework.serializers.meeting_types import (
    MeetingTypeDetailSerializer,
    MeetingTypeSerializer,
)
from django_meetergo.models import MeetingType
from django_meetergo.presentation.page_urls import parse_link

SLUG = OpenApiParameter("slug", str, OpenApiParameter.PATH)


def find_meeting_type(slug: str) -> MeetingType | None:
    if "\0" in slug:  # PostgreSQL refuses a text with a null character
        return None
    return MeetingType.objects.defer("raw").prefetch_related("hosts").filter(slug=slug).first()


def ensure_bookable(meeting_type: MeetingType) -> None:
    """Raise a problem if the meeting type cannot be booked through this site."""
    if not meeting_type.is_bookable:
        raise Problem(GONE)
    if meeting_type.is_booked_at_meetergo:
        link = parse_link(meeting_type.booking_url)
        members: dict[str, Any] = {"url": link.url} if link else {}
        raise Problem(BOOKED_ELSEWHERE, **members)


class MeetingTypeList(PublicView):
    throttle_scope = "meetergo-read"
    cache_control = "max-age=60"
    pagination_class = SlugPagination
    serializer_class = MeetingTypeSerializer

    @describe_operation(
        "list_meeting_types",
        "List meeting types",
        {200: MeetingTypeSerializer(many=True)},
        NOT_FOUND,
        INVALID,
        parameters=[*PARAMETERS, ETAG],
    )
    def get(self, request: Any) -> Response:
        """List the bookable meeting types by slug. 404 where the site hides the list (`SHOW_INDEX`)."""
        if not get_settings().SHOW_INDEX:
            raise NotFound
        rows = MeetingType.objects.bookable().defer("raw").prefetch_related("hosts")
        paginator = SlugPagination()
        page = paginator.paginate_queryset(rows, request, view=self)
        response: Response = paginator.get_paginated_response(
            MeetingTypeSerializer(page, many=True, context=self.get_serializer_context()).data
        )
        return response


class MeetingTypeDetail(PublicView):
    throttle_scope = "meetergo-read"
    # A site's questions may depend on who asks.
    cache_control = "private, max-age=60"

    @describe_operation(
        "get_meeting_type",
        "Show a meeting type and its inputs",
        {200: MeetingTypeDetailSerializer},
        NOT_FOUND,
        GONE,
        parameters=[SLUG, ETAG],
    )
    def get(self, request: Any, slug: str) -> Response:
        """Show one meeting type, with the inputs to ask an attendee for."""
        meeting_type = find_meeting_type(slug)
        if meeting_type is None:
            raise NotFound
        if not meeting_type.is_bookable:
            raise Problem(GONE)
        return self.build_response(MeetingTypeDetailSerializer, meeting_type)
