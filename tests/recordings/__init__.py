"""Recorded documents of the service, and those that ``meetergo_doctor --record`` has saved elsewhere.

``MEETERGO_RECORDINGS=folder pytest tests/sandbox/test_recordings.py tests/remote/test_payloads.py`` tries the
documents of a folder, too.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
PAYLOADS = FOLDER / "payloads"


@dataclass(frozen=True)
class Recording:
    """A recorded document, and the schema it should have."""

    path: Path
    schema: str

    def __str__(self) -> str:
        return self.path.name

    def load(self) -> Any:
        return json.loads(self.path.read_text(encoding="utf-8"))


def read_folder(folder: Path) -> list[Recording]:
    """Return what the index of a folder names."""
    index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    return [Recording(folder / entry["file"], entry["schema"]) for entry in index]


def list_recordings() -> list[Recording]:
    """Return the project's own recordings and those of ``MEETERGO_RECORDINGS``."""
    given = os.environ.get("MEETERGO_RECORDINGS")
    return read_folder(PAYLOADS) + (read_folder(Path(given)) if given else [])
