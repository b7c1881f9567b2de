"""Pages that cost the same however deep they are."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import NotFound
from rest_framework.pagination import Cursor, CursorPagination

from django_meetergo.contrib.rest_framework.instants import parse_instant
from django_meetergo.contrib.rest_framework.problems import invalid


class Pages(CursorPagination):  # type: ignore[misc]
    """Cursors by a unique text: for lists in one fixed order."""

    page_size = 50
    max_page_size = 100
    page_size_query_param = "page_size"
    ordering = "slug"

    def get_page_size(self, request: Any) -> int:
        text = request.query_params.get(self.page_size_query_param)
        if text is None:
            return self.page_size
        if not text.isdecimal() or not 1 <= int(text[:9] or 0) <= self.max_page_size:
            raise invalid(self.page_size_query_param, f"Choose a number from 1 to {self.max_page_size}.")
        return int(text)

    def decode_cursor(self, request: Any) -> Cursor | None:
        try:
            cursor = super().decode_cursor(request)
        except NotFound:
            raise invalid(self.cursor_query_param, self.invalid_cursor_message) from None
        if cursor and cursor.position is not None and not self.is_position(cursor.position):
            raise invalid(self.cursor_query_param, self.invalid_cursor_message)
        return cursor

    def is_position(self, text: str) -> bool:
        """Whether our own rows could have ended a page there."""
        return text.isprintable()

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        return []  # in PARAMETERS, where they can be exact

    def get_paginated_response_schema(self, schema: Any) -> dict[str, Any]:
        link = {"type": ["string", "null"], "format": "uri"}
        return {
            "type": "object",
            "required": ["next", "previous", "results"],
            "properties": {"next": link, "previous": link, "results": schema},
        }


PARAMETERS = [
    OpenApiParameter(
        Pages.cursor_query_param, str, description="Where the page begins, from `next` or `previous`."
    ),
    OpenApiParameter(
        Pages.page_size_query_param,
        {"type": "integer", "minimum": 1, "maximum": Pages.max_page_size, "default": Pages.page_size},
        description="How many rows a page has.",
    ),
]


class AppointmentPages(Pages):
    """Cursors by time."""

    ordering = "-start"

    def is_position(self, text: str) -> bool:
        return parse_instant(text) is not None
