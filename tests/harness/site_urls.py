"""The URLs of a whole site: pages, REST API and admin."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("book/", include("django_meetergo.urls")),
    path("api/meetergo/", include("django_meetergo.contrib.rest_framework.urls")),
]
