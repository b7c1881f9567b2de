"""What holds for every address: counting, secrets, formats, and being absent."""

from __future__ import annotations

import subprocess
import sys

import pytest
from django.urls import Resolver404, resolve

from django_meetergo.contrib.rest_framework import problems
from django_meetergo.contrib.rest_framework.urls import urlpatterns
from django_meetergo.models import Appointment, Attendee, Booking, Host, MeetingType
from django_meetergo.testing.factories import HostFactory
from django_meetergo.visitors import normalize_address
from tests.api.conftest import FrontEnd, kind

pytestmark = pytest.mark.django_db(transaction=True)


# Counting


@pytest.fixture
def strict(settings):
    settings.REST_FRAMEWORK = {
        "DEFAULT_THROTTLE_RATES": {"meetergo-token": "2/min", "meetergo-read": "1/min"}
    }


def test_who_guesses_links_is_turned_away(front_end, strict):
    statuses = [front_end.get("/bookings/guess/").status_code for _ in range(3)]
    assert statuses == [404, 404, 429]
    answer = front_end.get("/bookings/guess/")
    assert kind(answer) == "throttled"
    assert 0 < int(answer["Retry-After"]) <= 60
    assert front_end.get("/meeting-types/").status_code == 200


def test_behind_a_proxy_callers_are_told_apart_by_its_header(front_end, strict, settings):
    """The last entry is the proxy's own; what stands before it anybody can write."""
    settings.MEETERGO = {**settings.MEETERGO, "CLIENT_IP_HEADER": "X-Forwarded-For"}

    def ask(chain):
        return front_end.client.get("/api/meetergo/meeting-types/", headers={"X-Forwarded-For": chain})

    assert ask("192.0.2.1").status_code == 200
    assert ask("192.0.2.2").status_code == 200
    assert ask("198.51.100.7, 192.0.2.1").status_code == 429


def test_a_header_that_no_proxy_of_ours_sets_is_not_believed(front_end, strict):
    for number, status in enumerate((200, 429)):
        answer = front_end.client.get(
            "/api/meetergo/meeting-types/", headers={"X-Forwarded-For": f"192.0.2.{number}"}
        )
        assert answer.status_code == status


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::ffff:2", "2001:db8::/64"),
        ("unix:", "unix:"),
    ],
)
def test_addresses_are_counted_by_who_can_have_them(text, name):
    assert normalize_address(text) == name


# Secrets

CANARY = "canary-5f1d7c"


def test_no_answer_holds_a_secret_or_an_inner_id(front_end, person, site, settings):
    """Whatever we know and nobody may see, planted in every column that holds such things."""
    settings.MEETERGO = {**settings.MEETERGO, "WEBHOOK_TOKENS": [CANARY * 3], "ENCRYPTION_KEYS": []}
    staff = person("staff", "view_appointment", "change_appointment")
    booked = front_end.book().json()
    pending = front_end.book("checkup", email="joe@example.com").json()
    for model in (Appointment, Attendee, Host, MeetingType):
        model.objects.update(raw={"secret": CANARY}, digest=CANARY)
    Attendee.objects.update(remote_id=CANARY)
    for booking in Booking.objects.all():
        booking.provisional_id = booking.message = CANARY
        booking.idempotency_key = f"{CANARY}{booking.pk}"
        booking.save()
    row = Appointment.objects.get()
    row.secret = CANARY
    row.save()
    key = settings.MEETERGO["API_KEY"]
    remote = [row.remote_id, *MeetingType.objects.values_list("remote_id", flat=True)]

    answers = [
        front_end.get("/meeting-types/"),
        front_end.get("/meeting-types/intro-call/"),
        front_end.get("/meeting-types/intro-call/availability/"),
        front_end.get(booked["url"]),
        front_end.get(pending["url"]),
        front_end.get(booked["manage"]["url"]),
        front_end.post("/bookings/", {}),
        staff.get("/appointments/"),
        staff.get(f"/appointments/{row.public_id}/"),
        front_end.get("/openapi.yaml"),
    ]

    for answer in answers:
        assert answer.status_code in {200, 422}, answer.content
        text = answer.content.decode()
        assert not [secret for secret in (CANARY, key, *remote) if secret in text]
        if answer["Content-Type"] == "application/json":
            assert not {"pk", "raw", "secret", "remote_id", "idempotency_key"} & set(
                list_names(answer.json())
            )
    assert isinstance(staff.get("/appointments/").json()["results"][0]["id"], str)


def list_names(document):
    """Every member's name, however deep."""
    if isinstance(document, list):
        return [name for one in document for name in list_names(one)]
    if not isinstance(document, dict):
        return []
    return [*document, *(name for one in document.values() for name in list_names(one))]


def test_only_links_that_can_be_followed_are_handed_on(front_end):
    booked = front_end.book().json()
    Appointment.objects.update(meeting_link="javascript:alert(1)")
    assert front_end.get(booked["url"]).json()["appointment"]["meeting_link"] is None
    assert front_end.get(booked["manage"]["url"]).json()["meeting_link"] is None


# Formats


def test_there_is_no_page_to_click_on_outside_debug(front_end, settings):
    html = {"Accept": "text/html"}
    answer = front_end.client.get("/api/meetergo/meeting-types/", headers=html)
    assert (answer.status_code, kind(answer)) == (406, "not-acceptable")
    settings.DEBUG = True
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "rest_framework"]
    answer = front_end.client.get("/api/meetergo/meeting-types/", headers=html)
    assert answer["Content-Type"].startswith("text/html")


def test_a_method_that_is_not_there_is_named_as_such(front_end):
    answer = front_end.client.delete("/api/meetergo/bookings/")
    assert (answer.status_code, kind(answer)) == (405, "method-not-allowed")
    assert "POST" in answer["Allow"]


def test_types_of_problems_are_unique_and_stable():
    names = [one.name for one in problems.KINDS]
    assert len(names) == len(set(names))
    assert all(one.uri.startswith("urn:problem-type:django-meetergo:") for one in problems.KINDS)


def test_every_problem_is_in_the_manual():
    from pathlib import Path

    manual = (Path(__file__).parents[2] / "docs" / "rest-api.rst").read_text()
    assert not [one.name for one in problems.KINDS if f"``{one.name}``" not in manual]


def test_no_address_holds_a_transaction_open():
    """Services commit before they telephone, whatever a site wraps around its views."""
    from django.urls import reverse

    paths = [
        reverse(f"meetergo_rest:{pattern.name}", args=["x"] * len(pattern.pattern.converters))
        for pattern in urlpatterns
        if pattern.name != "openapi"
    ]
    assert all("default" in resolve(path).func._non_atomic_requests for path in paths)


def test_the_pages_may_be_missing(front_end, settings):
    """A site may have the API without the pages; then nothing leads to one."""
    settings.ROOT_URLCONF = "tests.api.bare_urls"
    booked = front_end.book().json()
    assert booked["page"] is None
    assert booked["manage"]["page"] is None
    with pytest.raises(Resolver404):
        resolve("/book/")


# Without Django REST framework

PROGRAM = """
import sys

ABSENT = {"rest_framework", "django_filters", "drf_spectacular"}

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name in ABSENT:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())
from django.conf import settings
settings.configure(
    SECRET_KEY="x",
    ROOT_URLCONF="django_meetergo.urls",
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django_meetergo"],
    MEETERGO={"API_KEY": "rgo-x"},
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
)
import django
django.setup()
from django.core.management import call_command
call_command("check")
import django_meetergo.contrib
import django_meetergo.contrib.rest_framework
import django_meetergo.urls
try:
    import django_meetergo.contrib.rest_framework.urls
except ModuleNotFoundError as error:
    assert str(error) in ABSENT, error
else:
    raise AssertionError("the guard is broken")
"""


def test_a_bare_install_does_without_it():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_hosts_without_a_name_are_not_shown(front_end):
    MeetingType.objects.get(slug="intro-call").hosts.set([HostFactory(name="")])
    assert FrontEnd().get("/meeting-types/intro-call/").json()["hosts"] == []
