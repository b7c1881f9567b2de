"""Replace parts of the package in a process of a deployed site, as ``HARNESS_PATCHES`` (JSON) says."""

import json
import os
import pkgutil


def apply_patches() -> None:
    for path, replacement in json.loads(os.environ.get("HARNESS_PATCHES", "{}")).items():
        owner, _, name = path.rpartition(".")
        setattr(pkgutil.resolve_name(owner), name, pkgutil.resolve_name(replacement))
