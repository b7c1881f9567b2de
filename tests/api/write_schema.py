"""Write the published schema anew: ``python -m tests.api.write_schema``."""

import os

import django

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    from django_meetergo.contrib.rest_framework.published import FILE, build_schema

    FILE.write_text(build_schema())
