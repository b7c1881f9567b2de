"""A site without translations, with its own zone and number format."""

from tests.hosts.base import *  # noqa: F403

USE_I18N = False
USE_THOUSAND_SEPARATOR = True
LANGUAGE_CODE = "de"
TIME_ZONE = "Asia/Kathmandu"
