from typing import Any


class ArchiveRouter:
    """Sends the app ``archive`` elsewhere and has no opinion on others."""

    def db_for_read(self, model: Any, **hints: Any) -> str | None:
        return "archive" if model._meta.app_label == "archive" else None

    db_for_write = db_for_read

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool:
        return (db == "archive") == (app_label == "archive")
