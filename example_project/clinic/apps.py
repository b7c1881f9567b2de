from django.apps import AppConfig
from django.conf import settings


class ClinicConfig(AppConfig):
    name = "clinic"
    verbose_name = "Praxis am Lindenhof"

    def ready(self) -> None:
        if settings.MEETERGO["BACKGROUND"] == "celery":
            # Shared tasks use the Celery app that was created last.
            from clinic import celery  # noqa: F401
