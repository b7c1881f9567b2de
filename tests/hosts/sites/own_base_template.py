"""Loaders are explicit and cached, and the pages extend the site's base."""

from tests.hosts.base import *  # noqa: F403
from tests.hosts.base import MEETERGO, TEMPLATES

TEMPLATES = [
    {
        **{key: value for key, value in TEMPLATES[0].items() if key != "APP_DIRS"},
        "OPTIONS": {
            **TEMPLATES[0]["OPTIONS"],
            "loaders": [
                (
                    "django.template.loaders.cached.Loader",
                    [
                        "django.template.loaders.filesystem.Loader",
                        "django.template.loaders.app_directories.Loader",
                    ],
                )
            ],
        },
    }
]
MEETERGO = {**MEETERGO, "BASE_TEMPLATE": "hosts/base.html"}
