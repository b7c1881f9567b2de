"""A published page with blocks; the browser is that of ``tests/browser``."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
from wagtail.models import Locale, Page, Site

from tests.browser.conftest import (  # noqa: F401 - fixtures
    _site,
    browser_type_launch_args,
    make_person,
    scripted,
    service,
)
from tests.database_file import database_file, django_db_modify_db_settings  # noqa: F401 - fixtures
from tests.wagtail.pages.models import ClinicPage

os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"


@pytest.fixture
def publish(transactional_db: Any) -> Any:
    """Return a function that publishes a page with these blocks as the site's first page."""

    def publish(*blocks: dict[str, Any]) -> ClinicPage:
        # A flushed database has none of the rows that Wagtail's migrations create.
        Locale.objects.get_or_create(language_code="en")
        Page.objects.all().delete()
        root = Page.add_root(instance=Page(title="Root", slug="root"))
        body = json.dumps([{"type": "booking", "value": block} for block in blocks])
        page = root.add_child(instance=ClinicPage(title="Clinic", slug="clinic", body=body))
        Site.objects.all().delete()
        Site.objects.create(hostname="localhost", root_page=page, is_default_site=True)
        return page

    return publish
