"""The app configuration: registers the system checks, masks tokens in logs and connects the
background worker.
"""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class MeetergoConfig(AppConfig):
    name = "django_meetergo"
    label = "meetergo"
    verbose_name = _("Appointments")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from django_meetergo import background, checks, request_logs  # noqa: F401 - registers the checks

        request_logs.install_filters()
        background.connect_wake_ups()
