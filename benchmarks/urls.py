from django.urls import include, path

from benchmarks import booking, page

urlpatterns = [
    path("api/meetergo/", include("django_meetergo.contrib.rest_framework.urls")),
    path("book/", include("django_meetergo.urls")),
    path("static-page/", page.show_static),
    path("plain-page/", page.show_plain),
    path("plain-form/", booking.book_plainly),
]
