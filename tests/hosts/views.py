"""The page of each site: the widget, the next free times, and the appointments of the visitor."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render


def home(request: HttpRequest) -> HttpResponse:
    return render(request, "hosts/home.html")
