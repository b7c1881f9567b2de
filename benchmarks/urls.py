from django.urls import include, path

urlpatterns = [path("api/meetergo/", include("django_meetergo.contrib.rest_framework.urls"))]
