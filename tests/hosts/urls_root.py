from django.urls import include, path

from tests.hosts.views import home

urlpatterns = [path("home/", home, name="home"), path("", include("django_meetergo.urls"))]
