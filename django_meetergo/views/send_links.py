"""The page that mails a person the links of their coming appointments."""

from __future__ import annotations

from math import ceil

from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone as clock
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods

from django_meetergo.conf import get_settings
from django_meetergo.presentation.forms import LinksForm
from django_meetergo.services.notifications import request_links
from django_meetergo.views.csrf import handle_csrf_failure
from django_meetergo.views.decorators import METHODS, page
from django_meetergo.views.rendering import redirect_after_post, render_page
from django_meetergo.visitors import Limit, count_all, get_client_address

#: Requests of one network address, and of the whole site.
NETWORK_LIMIT = Limit(name="links-network", times=10, seconds=3600)
SITE_LIMIT = Limit(name="links-site", times=60, seconds=600)


@page
@login_not_required
@require_http_methods(METHODS)
@handle_csrf_failure
def send_links(request: HttpRequest, *, csrf_error: str) -> HttpResponse:
    """GET shows the form; POST has the mail sent. The answer is the same for every address.

    404 on a site without ``SITE_URL``, because its mails cannot contain links.
    """
    if not get_settings().SITE_URL:
        raise Http404
    if request.method != "POST":
        return show_form(request, LinksForm(), is_sent="sent" in request.GET)
    form = LinksForm(request.POST)
    if csrf_error:
        form.add_error(None, csrf_error)
    if not form.is_valid():
        return show_form(request, form, status=403 if csrf_error else 422)
    if wait := count_all([(SITE_LIMIT, "site"), (NETWORK_LIMIT, get_client_address(request.META))]):
        return show_too_many(request, form, wait)
    request_links(email=form.cleaned_data["email"], now=clock.now())
    return redirect_after_post(f"{reverse('meetergo:send_links')}?sent=1")


def show_too_many(request: HttpRequest, form: LinksForm, wait: int) -> HttpResponse:
    minutes = ceil(wait / 60)
    text = ngettext(
        "Too many e-mails have been requested. Please try again in %(minutes)s minute.",
        "Too many e-mails have been requested. Please try again in %(minutes)s minutes.",
        minutes,
    )
    form.add_error(None, text % {"minutes": minutes})
    response = show_form(request, form, status=429)
    response["Retry-After"] = str(wait)
    return response


def show_form(
    request: HttpRequest, form: LinksForm, *, is_sent: bool = False, status: int = 200
) -> HttpResponse:
    context = {"form": form, "is_sent": is_sent}
    response = render_page(request, "meetergo/send_links.html", context, status=status)
    response["Cache-Control"] = "no-store"
    return response
