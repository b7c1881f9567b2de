"""Fixtures of tests with a live server: on SQLite the database is a file."""

from __future__ import annotations

import pytest
from django.db import connections


@pytest.fixture(scope="session")
def django_db_modify_db_settings(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Use a database file, so that every server thread has its own connection."""
    if connections["default"].vendor != "sqlite":
        return
    database = connections["default"].settings_dict
    database["TEST"]["NAME"] = str(tmp_path_factory.mktemp("site") / "site.sqlite3")
    database["OPTIONS"] = {"transaction_mode": "IMMEDIATE", "timeout": 20}


@pytest.fixture(scope="session", autouse=True)
def database_file(django_db_setup: None) -> None:
    """Configure the file before any server starts: a server shares a connection to a database in memory."""
