"""A new project."""

from tests.hosts.base import *  # noqa: F403
