"""Where everything answers, below wherever a site includes it."""

from django.urls import path

from django_meetergo.views import booking, manage, webhook

app_name = "meetergo"

urlpatterns = [
    path("", booking.index, name="index"),
    path("timezone/", booking.timezone, name="timezone"),
    path("webhooks/<str:token>/", webhook.receive, name="webhook"),
    path("booking/<str:token>/", booking.outcome, name="outcome"),
    path("manage/<str:token>/", manage.manage, name="manage"),
    path("manage/<str:token>/reschedule/", manage.reschedule, name="reschedule"),
    path("manage/<str:token>/cancel/", manage.cancel, name="cancel"),
    path("manage/<str:token>/appointment.ics", manage.ics, name="ics"),
    path("<slug:slug>/", booking.book, name="book"),
    path("<slug:slug>/details/", booking.details, name="details"),
]
