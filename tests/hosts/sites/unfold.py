"""The admin theme django-unfold, whose templates replace those of Django's admin."""

from tests.hosts.base import *  # noqa: F403
from tests.hosts.base import INSTALLED_APPS

INSTALLED_APPS = ["unfold", *INSTALLED_APPS]
