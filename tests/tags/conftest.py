"""A page of the site that renders template tags."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.template import engines
from django.test import RequestFactory

from tests.pages.conftest import movable_clock, site, visitor  # noqa: F401 - fixtures


class Page:
    """Renders templates with a request, as a view of the site does."""

    def __init__(self, request: Any = None) -> None:
        self.request: Any = request or RequestFactory().get("/treatments/intro/")
        if not hasattr(self.request, "user"):
            self.request.user = AnonymousUser()

    def render(self, text: str, **context: Any) -> str:
        return engines["django"].from_string("{% load meetergo %}" + text).render(context, self.request)


@pytest.fixture
def site_page() -> Page:
    return Page()
