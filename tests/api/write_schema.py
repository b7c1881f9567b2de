"""Write the published schema anew: ``python -m tests.api.write_schema``."""

import os

import django


def write() -> None:
    from django_meetergo.contrib.rest_framework import published

    published.FILE.write_text(published.build_schema())


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    write()
