from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render

from clinic import practice
from clinic.middleware import EMBED_POLICY
from clinic.models import Course
from django_meetergo.models import MeetingType

#: The meeting type that can also be booked on meetergo's own page.
AT_MEETERGO = "second-opinion"


def home(request: HttpRequest) -> HttpResponse:
    offers = practice.list_offers()
    context = {"offers": offers, "team": practice.TEAM, "opening_hours": practice.OPENING_HOURS}
    return render(request, "clinic/home.html", context)


def treatment(request: HttpRequest, slug: str) -> HttpResponse:
    """Show a treatment and its free times. A class is booked in the newest course."""
    offer = practice.find_offer(slug)
    if offer is None:
        raise Http404
    course = Course.objects.newest() if slug == practice.CLASS else None
    return render(request, "clinic/treatment.html", {"offer": offer, "course": course})


def contact(request: HttpRequest) -> HttpResponse:
    """Show how to reach the practice and, on request, meetergo's own page with a wider policy."""
    shows_embed = request.GET.get("calendar") == "meetergo"
    context = {
        "opening_hours": practice.OPENING_HOURS,
        "at_meetergo": MeetingType.objects.bookable().defer("raw").filter(slug=AT_MEETERGO).first(),
        "shows_embed": shows_embed,
    }
    response = render(request, "clinic/contact.html", context)
    if shows_embed:
        response["Content-Security-Policy"] = EMBED_POLICY
    return response


def privacy(request: HttpRequest) -> HttpResponse:
    return render(request, "clinic/privacy.html")
