"""The Celery app, used with ``BACKGROUND=celery``: ``celery -A clinic worker --beat``."""

import os

from celery import Celery
from celery.signals import import_modules

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "clinic.settings")

app = Celery("clinic")
# The current application is a matter of the thread, and a web server has many: this one is for all of them.
app.set_default()
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@import_modules.connect(weak=False)
def add_schedule(**kwargs: object) -> None:
    """What comes round by itself. The tasks can be imported only once Django is ready."""
    from django_meetergo.tasks import beat_schedule

    app.conf.beat_schedule = beat_schedule()
