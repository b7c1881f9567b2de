from django.urls import include, path

urlpatterns = [path("book/", include("django_meetergo.urls"))]
