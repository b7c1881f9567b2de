"""The page on which an attendee cancels their appointment, or gives up their place in a group."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.utils import timezone as clock

from django_meetergo.formatting import name_hosts
from django_meetergo.models import Attendee
from django_meetergo.presentation.forms import CancelForm
from django_meetergo.services.changes.policy import find_allowed_changes
from django_meetergo.services.changes.queue import find_last_change
from django_meetergo.services.changes.requests import cancel_appointment
from django_meetergo.views.manage import (
    attendee_page,
    change_appointment,
    choose_zone,
    describe_appointment,
    refuse_change,
)
from django_meetergo.views.rendering import render_page


@attendee_page
def cancel(request: HttpRequest, attendee: Attendee, *, csrf_error: str) -> HttpResponse:
    """GET asks; POST cancels, once, however often it is sent."""
    host = name_hosts(attendee.appointment.list_hosts())
    if request.method == "POST" and not csrf_error:
        form = CancelForm(request.POST, host_name=host)
        if not form.is_valid():
            return show_form(request, attendee, form, status=422)
        return change_appointment(request, attendee, cancel_appointment, reason=form.cleaned_data["reason"])
    change = find_last_change(attendee)
    if not find_allowed_changes(attendee, change, clock.now()).may_cancel:
        return refuse_change(request, attendee)
    form = CancelForm(request.POST if csrf_error else None, host_name=host)
    if csrf_error:
        form.add_error(None, csrf_error)
    return show_form(request, attendee, form, status=403 if csrf_error else 200)


def show_form(
    request: HttpRequest, attendee: Attendee, form: CancelForm, *, status: int = 200
) -> HttpResponse:
    change = find_last_change(attendee)
    context = {
        **describe_appointment(attendee, choose_zone(request, attendee)),
        "form": form,
        "is_moving": change is not None and change.is_open,
    }
    return render_page(request, "meetergo/cancel.html", context, status=status)
