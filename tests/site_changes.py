"""What a site may change between a booking and the same request sent again, because its answer was lost."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django import forms
from django.utils import timezone

from django_meetergo.models import Booking, MeetingType


class NewQuestion(forms.Form):
    """A required question that the site adds later."""

    reason = forms.CharField()


def disable_type(settings: Any) -> None:
    MeetingType.objects.update(enabled=False)


def remove_type(settings: Any) -> None:
    MeetingType.objects.update(missing_since=timezone.now())


def lead_to_own_page(settings: Any) -> None:
    MeetingType.objects.update(needs_own_page=True)


def fill_limit_of_appointments(settings: Any) -> None:
    settings.MEETERGO = {**settings.MEETERGO, "MAX_FUTURE_APPOINTMENTS": 1}


def fill_limit_of_bookings(settings: Any) -> None:
    settings.MEETERGO = {**settings.MEETERGO, "MAX_BOOKINGS_PER_HOUR": 1}


def add_question(settings: Any) -> None:
    forms_of_types = {"intro-call": f"{__name__}.{NewQuestion.__name__}"}
    settings.MEETERGO = {**settings.MEETERGO, "FORMS": forms_of_types}


def require_privacy_consent(settings: Any) -> None:
    settings.MEETERGO = {**settings.MEETERGO, "PRIVACY_URL": "https://site.example/privacy/"}


def let_the_start_pass(settings: Any) -> None:
    Booking.objects.update(start=timezone.now() - timedelta(hours=1))


SITE_CHANGES: tuple[Callable[[Any], None], ...] = (
    disable_type,
    remove_type,
    lead_to_own_page,
    fill_limit_of_appointments,
    fill_limit_of_bookings,
    add_question,
    require_privacy_consent,
    let_the_start_pass,
)
