from django.apps import AppConfig
from django.conf import settings


class ClinicConfig(AppConfig):
    name = "clinic"
    verbose_name = "Praxis am Lindenhof"

    def ready(self) -> None:
        if settings.MEETERGO["BACKGROUND"] == "celery":
            # Shared tasks find their broker through the app that was made last.
            from clinic import celery  # noqa: F401
