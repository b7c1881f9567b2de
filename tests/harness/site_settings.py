"""The settings of a deployed site: those of the tests, with what ``HARNESS_SETTINGS`` (JSON) replaces."""

import json
import os

from tests.settings import *  # noqa: F403

globals().update(json.loads(os.environ["HARNESS_SETTINGS"]))
