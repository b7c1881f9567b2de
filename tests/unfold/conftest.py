"""The browser is that of ``tests/browser``, without its policy: the scripts of the theme parse strings."""

from __future__ import annotations

from tests.browser.conftest import browser_type_launch_args, make_person, service  # noqa: F401 - fixtures
from tests.browser.test_staff import receptionist, today  # noqa: F401 - fixtures
from tests.database_file import database_file, django_db_modify_db_settings  # noqa: F401 - fixtures
