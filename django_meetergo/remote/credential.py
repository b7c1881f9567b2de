"""The credential of a connection and the headers it becomes."""

from __future__ import annotations

from dataclasses import dataclass, field

from django_meetergo.conf import PERSONAL, PLATFORM
from django_meetergo.texts import Secret


@dataclass(frozen=True, slots=True)
class Credential:
    """An API key and, for platform keys, the id of the user to act for. The prefix tells the kind."""

    key: str = field(repr=False)
    user_id: str = ""

    @property
    def kind(self) -> str:
        """``personal``, ``platform`` or ``unknown``."""
        if self.key.startswith(PERSONAL):
            return "personal"
        return "platform" if self.key.startswith(PLATFORM) else "unknown"

    @property
    def headers(self) -> dict[str, str]:
        """The request headers. Personal tokens must not name a user; platform keys must."""
        if not self.key:
            return {}
        headers: dict[str, str] = {"Authorization": Secret(f"Bearer {self.key}")}
        if self.kind == "platform" and self.user_id:
            headers["x-meetergo-api-user-id"] = self.user_id
        return headers
