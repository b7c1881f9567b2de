from django.urls import include, path

urlpatterns = [path("termine/", include("django_meetergo.urls"))]
