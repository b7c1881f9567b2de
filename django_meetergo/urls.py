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
    path("webhooks/<meetergo_token:token>/", webhook.receive, name="webhook"),
    path("booking/<meetergo_token:token>/", outcome, name="outcome"),
    path("manage/<meetergo_token:token>/", manage, name="manage"),
    path("manage/<meetergo_token:token>/reschedule/", reschedule, name="reschedule"),
    path("manage/<meetergo_token:token>/cancel/", cancel, name="cancel"),
    path("manage/<meetergo_token:token>/appointment.ics", ics, name="ics"),
    path("feed/<meetergo_token:token>.ics", feed, name="feed"),
    path("<slug:slug>/", book, name="book"),
    path("<slug:slug>/details/", details, name="details"),
]
