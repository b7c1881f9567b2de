"""The addresses of the API, below the one where the site includes them.

Converters are ``str``, so that a segment that is no slug or id gets the 404 document of this API instead of
the 404 page of the site.
"""

from typing import Any

from django.urls import path

from django_meetergo.contrib.rest_framework import appointments as staff
from django_meetergo.contrib.rest_framework import availability, booking, manage, meeting_types, schema

app_name = "meetergo_rest"

ROUTES: tuple[tuple[str, Any, str], ...] = (
    ("meeting-types", meeting_types.MeetingTypeList, "meeting_types"),
    ("meeting-types/<str:slug>", meeting_types.MeetingTypeDetail, "meeting_type"),
    ("meeting-types/<str:slug>/availability", availability.Availability, "availability"),
    ("bookings", booking.BookingList, "bookings"),
    ("bookings/<meetergo_token:token>", booking.BookingDetail, "booking"),
    ("bookings/<meetergo_token:token>/check", booking.BookingCheck, "booking_check"),
    ("manage/<meetergo_token:token>", manage.ManageDetail, "manage"),
    ("manage/<meetergo_token:token>/check", manage.ManageCheck, "manage_check"),
    ("manage/<meetergo_token:token>/availability", manage.ManageAvailability, "manage_times"),
    ("manage/<meetergo_token:token>/cancel", manage.ManageCancel, "manage_cancel"),
    ("manage/<meetergo_token:token>/reschedule", manage.ManageReschedule, "manage_reschedule"),
    ("appointments", staff.AppointmentList, "appointments"),
    ("appointments/<str:id>", staff.AppointmentDetail, "appointment"),
    ("appointments/<str:id>/cancel", staff.AppointmentCancel, "cancel"),
    ("appointments/<str:id>/reschedule", staff.AppointmentReschedule, "reschedule"),
    ("appointments/<str:id>/resync", staff.AppointmentResync, "resync"),
)

#: A trailing slash, as other addresses of a Django site have it, is accepted and not described. The address
#: without it comes last, so that it is the one that ``reverse`` returns.
urlpatterns = [
    path("openapi.yaml", schema.openapi, name="openapi"),
    *(path(f"{route}/", view.as_view(schema=None), name=name) for route, view, name in ROUTES),
    *(path(route, view.as_view(), name=name) for route, view, name in ROUTES),
]
