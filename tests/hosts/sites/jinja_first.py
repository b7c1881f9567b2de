"""Jinja2 for the site's own templates, and Django's engine for everything else."""

from tests.hosts.base import *  # noqa: F403
from tests.hosts.base import TEMPLATES

TEMPLATES = [
    {"BACKEND": "django.template.backends.jinja2.Jinja2", "DIRS": [], "APP_DIRS": False, "NAME": "own"},
    *TEMPLATES,
]
