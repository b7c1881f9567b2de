"""Cursor pagination: a page costs the same however deep it is."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import NotFound
from rest_framework.pagination import Cursor, CursorPagination

from django_meetergo.contrib.rest_framework.fields import parse_instant
from django_meetergo.contrib.rest_framework.problems import build_invalid


class SlugPagination(CursorPagination):  # type: ignore[misc]
    """Pages of rows ordered by their unique slug."""

    page_size = 50
    max_page_size = 100
    page_size_query_param = "page_size"
    ordering = "slug"

    def get_page_size(self, request: Any) -> int:
        text = request.query_params.get(self.page_size_query_param)
        if text is None:
            return self.page_size
        # No more digits than the limit has: int() of thousands of them raises.
        is_short = text.isdecimal() and len(text) <= len(str(self.max_page_size))
        if not is_short or not 1 <= int(text) <= self.max_page_size:
            message = _("Choose a number from 1 to %(limit)s.") % {"limit": self.max_page_size}
            raise build_invalid(self.page_size_query_param, message)
        return int(text)

    def decode_cursor(self, request: Any) -> Cursor | None:
        """Return the position of the page. Raises a problem for a cursor that this API did not make."""
        try:
            cursor = super().decode_cursor(request)
        except NotFound:
            raise build_invalid(self.cursor_query_param, self.invalid_cursor_message) from None
        if cursor is None or cursor.position is None:
            return cursor
        position = self.read_position(cursor.position)
        if position is None:
            raise build_invalid(self.cursor_query_param, self.invalid_cursor_message)
        return cursor._replace(position=position)

    def read_position(self, text: str) -> str | None:
        """Return the position as the database takes it; None for one that this API did not make."""
        return text if text.isprintable() else None

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        return []  # PARAMETERS describes them more exactly

    def get_paginated_response_schema(self, schema: Any) -> dict[str, Any]:
        link = {"type": ["string", "null"], "format": "uri"}
        return {
            "type": "object",
            "required": ["next", "previous", "results"],
            "properties": {"next": link, "previous": link, "results": schema},
        }


class AppointmentPagination(SlugPagination):
    """Pages of appointments, ordered by an instant."""

    ordering = "-start"

    def read_position(self, text: str) -> str | None:
        instant = parse_instant(text)
        return instant.isoformat() if instant else None


PARAMETERS = [
    OpenApiParameter(
        SlugPagination.cursor_query_param,
        str,
        description="Where the page begins: part of the addresses in `next` and `previous`.",
    ),
    OpenApiParameter(
        SlugPagination.page_size_query_param,
        {
            "type": "integer",
            "minimum": 1,
            "maximum": SlugPagination.max_page_size,
        },
        description=f"Rows per page; {SlugPagination.page_size} if left out.",
    ),
]
