"""The Celery application of a deployed site, with its periodic tasks."""

import os

from tests.celery_app import make_app
from tests.harness.kill_points import WORKER, install_kill_points
from tests.harness.patches import apply_patches

app = make_app(os.environ["CELERY_BROKER_URL"], os.environ["CELERY_QUEUE"])


@app.on_after_finalize.connect
def set_beat_schedule(**_: object) -> None:
    from django_meetergo.tasks import beat_schedule

    app.conf.beat_schedule = beat_schedule()
    apply_patches()
    install_kill_points(WORKER)
