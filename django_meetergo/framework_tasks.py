"""The task for ``BACKGROUND = "tasks"``: Django's own task framework, or the package ``django-tasks``.

Imported only when the setting asks for it: the task is bound to a backend of the site.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from django_meetergo.publishing import publisher
from django_meetergo.services import scheduler

if TYPE_CHECKING:
    from django.tasks import task
else:
    try:
        from django.tasks import task
    except ImportError:  # before Django 6.0
        from django_tasks import task


@task()
def run_due() -> None:
    """Run everything that is due. It may run twice, also at the same time: every row is claimed first."""
    scheduler.run_due(datetime.now(UTC))


def publish_wake_up() -> None:
    """Enqueue ``run_due``."""
    publisher.publish(run_due.enqueue)
