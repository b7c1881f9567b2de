"""An admin site of the project's own under another address."""

from tests.hosts.base import *  # noqa: F403
from tests.hosts.base import HOST, INSTALLED_APPS

INSTALLED_APPS = ["tests.hosts.own_admin.OwnAdminConfig", *INSTALLED_APPS[1:]]
ROOT_URLCONF = "tests.hosts.urls_own_admin"
HOST = {**HOST, "admin": "/backstage/"}
