"""The models and their migrations say the same."""

import pytest
from django.core.management import call_command


@pytest.mark.django_db
def test_no_migration_is_missing():
    """``makemigrations --check`` finds nothing to do."""
    call_command("makemigrations", "--check", "--dry-run", verbosity=0)
