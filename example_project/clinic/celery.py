"""The Celery app, used with ``BACKGROUND=celery``: ``celery -A clinic worker --beat``."""

import os

from celery import Celery
from celery.signals import import_modules

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "clinic.settings")

app = Celery("clinic")
# Celery's current app belongs to one thread; the default app is used in all threads of a web server.
app.set_default()
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@import_modules.connect(weak=False)
def add_schedule(**kwargs: object) -> None:
    """Add the periodic tasks, which can be imported only once Django is ready."""
    from django_meetergo.tasks import beat_schedule

    app.conf.beat_schedule = beat_schedule()
