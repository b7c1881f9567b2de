#!/usr/bin/env python
"""The clinic's command line. ``manage.py demo`` starts everything there is to see."""

import os
import sys

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "clinic.settings")
    execute_from_command_line(sys.argv)
