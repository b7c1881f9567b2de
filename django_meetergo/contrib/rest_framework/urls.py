"""The addresses of the API, below the one where the site includes them.

Converters are ``str``, so that a segment that is no slug or id gets the 404 document of this API instead of
the 404 page of the site.
"""

from django.urls import path

from django_meetergo.contrib.rest_framework import appointments as staff
from django_meetergo.contrib.rest_framework import availability, booking, manage, meeting_types, schema

app_name = "meetergo_rest"

urlpatterns = [
    path("openapi.yaml", schema.openapi, name="openapi"),
    path("meeting-types/", meeting_types.MeetingTypeList.as_view(), name="meeting_types"),
    path("meeting-types/<str:slug>/", meeting_types.MeetingTypeDetail.as_view(), name="meeting_type"),
    path("meeting-types/<str:slug>/availability/", availability.Availability.as_view(), name="availability"),
    path("bookings/", booking.BookingList.as_view(), name="bookings"),
    path("bookings/<str:token>/", booking.BookingDetail.as_view(), name="booking"),
    path("bookings/<str:token>/check/", booking.BookingCheck.as_view(), name="booking_check"),
    path("manage/<str:token>/", manage.ManageDetail.as_view(), name="manage"),
    path("manage/<str:token>/check/", manage.ManageCheck.as_view(), name="manage_check"),
    path("manage/<str:token>/availability/", manage.ManageAvailability.as_view(), name="manage_times"),
    path("manage/<str:token>/cancel/", manage.ManageCancel.as_view(), name="manage_cancel"),
    path("manage/<str:token>/reschedule/", manage.ManageReschedule.as_view(), name="manage_reschedule"),
    path("appointments/", staff.AppointmentList.as_view(), name="appointments"),
    path("appointments/<str:id>/", staff.AppointmentDetail.as_view(), name="appointment"),
    path("appointments/<str:id>/cancel/", staff.AppointmentCancel.as_view(), name="cancel"),
    path("appointments/<str:id>/reschedule/", staff.AppointmentReschedule.as_view(), name="reschedule"),
    path("appointments/<str:id>/resync/", staff.AppointmentResync.as_view(), name="resync"),
]
