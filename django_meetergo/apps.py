"""The app configuration: registers the system checks, masks tokens in logs and connects the
background worker.
"""

from django.apps import AppConfig, apps
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import request_started
from django.utils.translation import gettext_lazy as _

#: Without these the models or the URLs cannot be loaded, so no system check would run.
NEEDED_APPS = {
    "django.contrib.contenttypes": "models of the site",
    "django.contrib.auth": "users",
}


class MeetergoConfig(AppConfig):
    name = "django_meetergo"
    label = "meetergo"
    verbose_name = _("Appointments")
    default_auto_field = "django.db.models.BigAutoField"

    def import_models(self) -> None:
        for name, linked in NEEDED_APPS.items():
            if not apps.is_installed(name):
                raise ImproperlyConfigured(
                    f'django_meetergo links appointments to {linked}: add "{name}" to INSTALLED_APPS.'
                )
        super().import_models()

    def ready(self) -> None:
        from django_meetergo import background, checks, links, request_logs  # noqa: F401 - registers the checks

        request_logs.install_filters()
        background.connect_wake_ups()
        request_started.connect(links.report_unknown_prefix, dispatch_uid="meetergo.mount")
