"""A site with an admin site of its own, which has some of the models."""

from __future__ import annotations

import sys
import types

import pytest
from django.contrib import admin
from django.urls import clear_url_caches, path

from django_meetergo.admin.appointments import AppointmentAdmin
from django_meetergo.admin.attendees import AttendeeAdmin
from django_meetergo.models import Appointment, Attendee
from django_meetergo.testing.factories import AttendeeFactory
from tests import urls

pytestmark = pytest.mark.django_db


@pytest.fixture
def desk(settings):
    """A second admin site, with appointments and attendees only."""
    site = admin.AdminSite(name="desk")
    site.register(Attendee, AttendeeAdmin)
    site.register(Appointment, AppointmentAdmin)
    module = types.ModuleType("two_sites")
    module.urlpatterns = [path("desk/", site.urls), *urls.urlpatterns]
    sys.modules["two_sites"] = module
    settings.ROOT_URLCONF = "two_sites"
    clear_url_caches()
    yield "/desk/meetergo"
    clear_url_caches()


@pytest.mark.parametrize("view", ["appointment/", "appointment/calendar/", "attendee/"])
def test_an_own_admin_site_with_some_of_the_models_works_and_links_to_itself(superuser, desk, view):
    AttendeeFactory()

    response = superuser.client.get(f"{desk}/{view}")

    assert response.status_code == 200
    assert "/admin/meetergo/" not in response.content.decode()
