"""A site with a front end of its own: the admin, and none of the pages."""

from django.contrib import admin
from django.urls import path

urlpatterns = [path("admin/", admin.site.urls)]
