"""Every request in a transaction, also the page with the widget."""

from tests.hosts.base import *  # noqa: F403
from tests.hosts.base import DATABASES

DATABASES = {"default": {**DATABASES["default"], "ATOMIC_REQUESTS": True}}
