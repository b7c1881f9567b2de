from django.contrib import admin
from django.urls import include, path

from tests.hosts.views import home

urlpatterns = [
    path("", home, name="home"),
    path("admin/", admin.site.urls),
    path("book/", include("django_meetergo.urls")),
]
