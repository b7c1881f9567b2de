"""The app configuration: registers the system checks and connects the background worker."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class MeetergoConfig(AppConfig):
    name = "django_meetergo"
    label = "meetergo"
    verbose_name = _("Appointments")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from django_meetergo import background, checks  # noqa: F401 - registers the checks

        background.connect_wake_ups()
