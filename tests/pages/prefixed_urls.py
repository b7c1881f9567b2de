"""The URLs of a site in several languages."""

from django.conf.urls.i18n import i18n_patterns
from django.urls import include, path

urlpatterns = i18n_patterns(path("book/", include("django_meetergo.urls")))
