"""The Celery application of ``tests/services_real``. Workers connect to ``CELERY_BROKER_URL``."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")


def make_app(broker: str | None, queue: str) -> Celery:
    app = Celery("meetergo-tests", broker=broker)
    app.conf.update(
        accept_content=["json"],
        task_serializer="json",
        broker_connection_retry_on_startup=True,
        broker_transport_options={"socket_timeout": 1, "socket_connect_timeout": 1},
        task_default_queue=queue,
    )
    app.autodiscover_tasks(["django_meetergo"])
    return app


app = make_app(os.environ.get("CELERY_BROKER_URL"), os.environ.get("CELERY_QUEUE", "meetergo-tests"))
