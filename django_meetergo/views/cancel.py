"""The page on which an attendee cancels their appointment, or gives up their place in a group."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.utils import timezone as clock
from django.views.decorators.http import require_http_methods

from django_meetergo import links
from django_meetergo.exceptions import ChangeNotAllowed, InvalidRequest
from django_meetergo.formatting import name_hosts
from django_meetergo.models import AppointmentChange, Attendee
from django_meetergo.presentation.forms import CancelForm
from django_meetergo.services.changes.policy import apply_policy
from django_meetergo.services.changes.queue import find_last_change
from django_meetergo.services.changes.requests import cancel_appointment
from django_meetergo.services.clients import find_client
from django_meetergo.views.common import get_user
from django_meetergo.views.csrf import handle_csrf_failure
from django_meetergo.views.decorators import METHODS, deny_framing, page, token_page
from django_meetergo.views.manage import (
    choose_zone,
    describe_appointment,
    find_attendee,
    refuse_change,
    show_not_changed,
)
from django_meetergo.views.rendering import redirect_after_post, render_not_found, render_page


@page
@deny_framing
@token_page
@require_http_methods(METHODS)
@handle_csrf_failure
def cancel(request: HttpRequest, token: str, *, csrf_error: str) -> HttpResponse:
    """GET asks; POST cancels, once, however often it is sent."""
    attendee = find_attendee(token)
    if attendee is None:
        return render_not_found(request)
    host = name_hosts(attendee.appointment.list_hosts())
    if request.method == "POST" and not csrf_error:
        return submit(request, attendee, CancelForm(request.POST, host_name=host))
    if not apply_policy(AppointmentChange.Kind.CANCEL, attendee, clock.now()).allowed:
        return refuse_change(request, attendee)
    change = find_last_change(attendee)
    if change is not None and change.is_open and change.kind == AppointmentChange.Kind.CANCEL:
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


def submit(request: HttpRequest, attendee: Attendee, form: CancelForm) -> HttpResponse:
    if not form.is_valid():
        return show_form(request, attendee, form, status=422)
    appointment = attendee.appointment
    try:
        cancel_appointment(
            appointment=appointment,
            attendee=attendee,
            reason=form.cleaned_data["reason"],
            by=AppointmentChange.Actor.ATTENDEE,
            user=get_user(request),
            client=find_client(appointment.reader, "write"),
            now=clock.now(),
        )
    except (ChangeNotAllowed, InvalidRequest) as error:
        return show_not_changed(request, attendee, error)
    return redirect_after_post(links.get_manage_path(attendee))
