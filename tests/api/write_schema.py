"""Write the committed OpenAPI schema: ``python -m tests.api.write_schema``."""

import os

import django


def write() -> None:
    from django_meetergo.contrib.rest_framework import schema

    schema.FILE.write_text(schema.build_schema())


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    write()
