"""Users that are no rows of the user model: those of stateless tokens, or of another service."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from rest_framework.authentication import BaseAuthentication

from django_meetergo.contrib.rest_framework.base import MeetergoView
from django_meetergo.models import AppointmentChange, Attendee, Booking

pytestmark = pytest.mark.django_db


class TokenUser:
    """A user made of a token; the number in it may be that of anybody, or of nobody, on this site."""

    is_authenticated = is_active = is_staff = True
    is_superuser = is_anonymous = False

    def __init__(self, pk):
        self.pk = self.id = pk

    def has_perm(self, name, row=None):
        return True


class TokenAuthentication(BaseAuthentication):
    def authenticate(self, request):
        return TokenUser(User.objects.values_list("pk", flat=True).first() or 1), "token"


@pytest.fixture(autouse=True)
def _tokens(monkeypatch):
    monkeypatch.setattr(MeetergoView, "authentication_classes", [TokenAuthentication])
    User.objects.create_user("somebody-else")


def test_a_visitor_books_moves_and_cancels(front_end):
    booked = front_end.book()
    assert booked.status_code == 201, booked.content
    assert Booking.objects.get().user is None
    assert Attendee.objects.get().user is None

    manage = f"/manage/{booked.json()['manage']['url'].rstrip('/').rpartition('/')[2]}"
    cancelled = front_end.post(f"{manage}/cancel")

    assert cancelled.status_code == 200, cancelled.content
    assert AppointmentChange.objects.get().user is None


def test_staff_see_and_cancel(front_end):
    front_end.book()
    [row] = front_end.get("/appointments").json()["results"]

    cancelled = front_end.post(f"/appointments/{row['id']}/cancel")

    assert cancelled.status_code == 200, cancelled.content
    assert AppointmentChange.objects.get().user is None
