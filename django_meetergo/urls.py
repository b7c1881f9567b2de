"""URL patterns of the booking pages and of the webhook endpoint, for ``include()``."""

from django.urls import path

from django_meetergo.views import webhook
from django_meetergo.views.cancel import cancel
from django_meetergo.views.details import details
from django_meetergo.views.feed import feed
from django_meetergo.views.manage import ics, manage
from django_meetergo.views.outcome import outcome
from django_meetergo.views.reschedule import reschedule
from django_meetergo.views.send_links import send_links
from django_meetergo.views.times import book, index, timezone

app_name = "meetergo"

urlpatterns = [
    path("", index, name="index"),
    path("timezone/", timezone, name="timezone"),
    path("my-appointments/", send_links, name="send_links"),
    path("webhooks/<str:token>/", webhook.receive, name="webhook"),
    path("booking/<str:token>/", outcome, name="outcome"),
    path("manage/<str:token>/", manage, name="manage"),
    path("manage/<str:token>/reschedule/", reschedule, name="reschedule"),
    path("manage/<str:token>/cancel/", cancel, name="cancel"),
    path("manage/<str:token>/appointment.ics", ics, name="ics"),
    path("feed/<str:token>.ics", feed, name="feed"),
    path("<slug:slug>/", book, name="book"),
    path("<slug:slug>/details/", details, name="details"),
]
