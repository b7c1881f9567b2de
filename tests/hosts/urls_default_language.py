from django.conf.urls.i18n import i18n_patterns
from django.contrib import admin
from django.urls import include, path

from tests.hosts.views import home

urlpatterns = i18n_patterns(
    path("", home, name="home"),
    path("admin/", admin.site.urls),
    path("book/", include("django_meetergo.urls")),
    prefix_default_language=False,
)
