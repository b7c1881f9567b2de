from django.urls import include, path

urlpatterns = [
    path("book/", include("django_meetergo.urls")),
    path("api/meetergo/", include("django_meetergo.contrib.rest_framework.urls")),
]
