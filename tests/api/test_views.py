"""What holds for every view: rates, secrets, formats, and the API being optional."""

from __future__ import annotations

import subprocess
import sys

import pytest
from django.test import Client
from django.urls import Resolver404, resolve
from django.utils.translation import gettext_lazy

from django_meetergo.contrib.rest_framework import problems
from django_meetergo.contrib.rest_framework.urls import urlpatterns
from django_meetergo.models import Appointment, Attendee, Booking, Host, MeetingType
from django_meetergo.testing.factories import HostFactory
from django_meetergo.visitors import normalize_address
from tests.api.conftest import DETAILS, FrontEnd, get_problem_type

KEY = {"Idempotency-Key": "0123456789abcdef-0123456789abcdef"}
pytestmark = pytest.mark.django_db(transaction=True)


def test_a_meeting_type_has_the_name_of_the_language_that_is_asked_for(front_end, settings):
    """Where the site gives it names of its own; Django's catalogues translate these."""
    texts = {"name": gettext_lazy("Monday"), "description": gettext_lazy("December")}
    settings.MEETERGO = {**settings.MEETERGO, "TRANSLATIONS": {"intro-call": texts}}
    path = "/api/meetergo/meeting-types/intro-call/"
    answer = front_end.client.get(path, headers={"accept-language": "fr"}).json()

    assert (answer["name"], answer["description"]) == ("lundi", "décembre")


# Rates


@pytest.fixture
def low_rates(settings):
    settings.MEETERGO = {**settings.MEETERGO, "CLIENT_IP_HEADER": "REMOTE_ADDR"}
    settings.REST_FRAMEWORK = {
        "DEFAULT_THROTTLE_RATES": {"meetergo-token": "2/min", "meetergo-read": "1/min"}
    }


def test_guessed_tokens_are_rate_limited(front_end, low_rates):
    statuses = [front_end.get("/bookings/guess/").status_code for _ in range(3)]
    assert statuses == [404, 404, 429]
    answer = front_end.get("/bookings/guess/")
    assert get_problem_type(answer) == "throttled"
    assert 0 < int(answer["Retry-After"]) <= 60
    assert front_end.get("/meeting-types/").status_code == 200


def test_clients_behind_a_proxy_are_counted_by_its_header(front_end, low_rates, settings):
    """Only the last entry is written by the proxy; a client can send any entries before it."""
    settings.MEETERGO = {**settings.MEETERGO, "CLIENT_IP_HEADER": "X-Forwarded-For"}

    def get_with(chain):
        return front_end.client.get("/api/meetergo/meeting-types/", headers={"X-Forwarded-For": chain})

    assert get_with("192.0.2.1").status_code == 200
    assert get_with("192.0.2.2").status_code == 200
    assert get_with("198.51.100.7, 192.0.2.1").status_code == 429


def test_the_proxy_header_is_ignored_unless_the_site_names_it(front_end, low_rates):
    for number, status in enumerate((200, 429)):
        answer = front_end.client.get(
            "/api/meetergo/meeting-types/", headers={"X-Forwarded-For": f"192.0.2.{number}"}
        )
        assert answer.status_code == status


def test_without_the_setting_addresses_are_not_counted(front_end, low_rates, settings):
    """Behind a proxy every visitor would have the address of the proxy."""
    settings.MEETERGO = {**settings.MEETERGO, "CLIENT_IP_HEADER": None}
    assert [front_end.get("/meeting-types/").status_code for _ in range(3)] == [200, 200, 200]


def test_a_valid_link_is_not_refused_because_of_wrong_ones(front_end, low_rates):
    booked = front_end.book().json()
    assert [front_end.get("/bookings/guess/").status_code for _ in range(3)] == [404, 404, 429]
    assert front_end.get(booked["url"]).status_code == 200
    assert front_end.get(booked["manage"]["url"]).status_code == 200


def test_answers_say_how_many_requests_are_left(front_end, low_rates):
    answers = [front_end.get("/bookings/guess/") for _ in range(3)]
    assert [answer["RateLimit-Remaining"] for answer in answers] == ["1", "0", "0"]
    assert {answer["RateLimit-Limit"] for answer in answers} == {"2"}
    assert all(0 < int(answer["RateLimit-Reset"]) <= 60 for answer in answers)


def test_too_many_bookings_are_told_apart_from_too_many_requests(front_end, settings):
    """The limit counts bookings, not requests, and says when it ends."""
    settings.MEETERGO = {**settings.MEETERGO, "MAX_BOOKINGS_PER_HOUR": 1}
    starts = front_end.list_starts()
    assert front_end.book(start=starts[0]).status_code == 201
    answer = front_end.book(start=starts[6])
    assert (answer.status_code, get_problem_type(answer)) == (429, "too-many-bookings")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::ffff:2", "2001:db8::/64"),
        ("192.0.2.1:4711", "192.0.2.1"),
        ("[2001:db8::1]:4711", "2001:db8::/64"),
        ('for="[2001:db8::1]:4711";proto=https', "2001:db8::/64"),
        ("proto=https;For=192.0.2.1:80;by=10.0.0.1", "192.0.2.1"),
        ("unix:", "unix:"),
    ],
)
def test_network_addresses_are_normalized(text, name):
    assert normalize_address(text) == name


# Secrets

CANARY = "canary-5f1d7c"


def test_no_answer_contains_a_secret_or_an_internal_id(front_end, make_user, site, settings):
    """A canary in every column that must stay inside appears in no answer."""
    settings.MEETERGO = {**settings.MEETERGO, "WEBHOOK_TOKENS": [CANARY * 3], "ENCRYPTION_KEYS": []}
    staff = make_user("staff", "view_appointment", "change_appointment")
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
    """Return the names of all members, at any depth."""
    if isinstance(document, list):
        return [name for one in document for name in list_names(one)]
    if not isinstance(document, dict):
        return []
    return [*document, *(name for one in document.values() for name in list_names(one))]


def test_meeting_links_with_other_schemes_are_left_out(front_end):
    booked = front_end.book().json()
    Appointment.objects.update(meeting_link="javascript:alert(1)")
    assert front_end.get(booked["url"]).json()["appointment"]["meeting_link"] is None
    assert front_end.get(booked["manage"]["url"]).json()["meeting_link"] is None


# Caching and language


@pytest.mark.parametrize("path", ["", "intro-call/", "intro-call/availability/"])
def test_unchanged_content_is_not_sent_again(front_end, path):
    url = f"/api/meetergo/meeting-types/{path}"
    first = front_end.client.get(url)
    again = front_end.client.get(url, headers={"If-None-Match": first["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    other = front_end.client.get(url, headers={"If-None-Match": '"other"'})
    assert (other.status_code, other["ETag"]) == (200, first["ETag"])


def test_an_answer_is_in_one_language_where_the_clients_has_no_catalogue(front_end):
    """Not the title in English and the messages of Django and DRF in Arabic."""
    answer = front_end.post("/bookings/", {"start": "soon"}, **{"Accept-Language": "ar"})

    assert answer["Content-Language"] == "en"
    assert answer.json()["title"] == "Some fields are invalid."
    assert answer.json()["errors"]["first_name"][0]["message"] == "This field is required."


def test_messages_come_in_the_language_of_the_client(front_end, settings):
    """Also where the site has no LocaleMiddleware, and for what only the services refuse."""
    settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if "LocaleMiddleware" not in name]
    settings.MEETERGO = {**settings.MEETERGO, "MAX_FUTURE_APPOINTMENTS": 1}
    assert front_end.book().status_code == 201
    start = front_end.list_starts()[0]
    answer = front_end.post(
        "/bookings/", {"meeting_type": "intro-call", "start": start, **DETAILS}, **{"Accept-Language": "de"}
    )
    assert answer["Content-Language"] == "de"
    assert answer.json()["title"] == "Einige Felder sind ungültig."
    [error] = answer.json()["errors"]["email"]
    assert (error["code"], error["message"][:21]) == ("limit_reached", "Diese E-Mail-Adresse ")


def test_the_attendees_language_can_be_named(front_end):
    assert front_end.book(language="fr").status_code == 201
    assert Booking.objects.get().language == "fr"


# Formats


def test_the_browsable_api_needs_debug(front_end, settings):
    html = {"Accept": "text/html"}
    answer = front_end.client.get("/api/meetergo/meeting-types/", headers=html)
    assert (answer.status_code, get_problem_type(answer)) == (406, "not-acceptable")
    settings.DEBUG = True
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "rest_framework"]
    answer = front_end.client.get("/api/meetergo/meeting-types/", headers=html)
    assert answer["Content-Type"].startswith("text/html")


def test_an_unsupported_method_is_405(front_end):
    answer = front_end.client.delete("/api/meetergo/bookings/")
    assert (answer.status_code, get_problem_type(answer)) == (405, "method-not-allowed")
    assert "POST" in answer["Allow"]


def test_problem_types_are_unique():
    names = [one.name for one in problems.PROBLEM_TYPES]
    assert len(names) == len(set(names))
    assert all(one.uri.startswith("urn:problem-type:django-meetergo:") for one in problems.PROBLEM_TYPES)


def test_a_trailing_slash_is_accepted_and_not_shown(front_end):
    start = front_end.list_starts()[0]
    answers = [front_end.post(path, {"meeting_type": "intro-call", "start": start, **DETAILS}, **KEY)
        for path in ("/bookings/", "/bookings")]  # fmt: skip
    assert [answer.status_code for answer in answers] == [201, 201]
    assert not answers[0]["Location"].endswith("/")
    assert front_end.get(answers[0]["Location"] + "/").json() == front_end.get(answers[0]["Location"]).json()


def test_no_view_runs_in_a_transaction():
    """Services commit before they call meetergo, also with ``ATOMIC_REQUESTS``."""
    from django.urls import reverse

    paths = [
        reverse(f"meetergo_rest:{pattern.name}", args=["x"] * len(pattern.pattern.converters))
        for pattern in urlpatterns
        if pattern.name != "openapi"
    ]
    assert all("default" in resolve(path).func._non_atomic_requests for path in paths)


def test_the_api_works_without_the_pages(front_end, settings):
    """A site can include the API without the pages; links to pages are then null."""
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

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name in ABSENT:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Blocker())
from django.conf import settings
settings.configure(
    SECRET_KEY="x",
    ROOT_URLCONF="django_meetergo.urls",
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
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
    raise AssertionError("Django REST framework was imported although it is blocked.")
"""


def test_the_app_works_without_django_rest_framework():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_hosts_without_a_name_are_left_out(front_end):
    MeetingType.objects.get(slug="intro-call").hosts.set([HostFactory(name="")])
    assert FrontEnd().get("/meeting-types/intro-call/").json()["hosts"] == []


def test_an_answer_varies_with_the_cookie_that_chose_its_language(front_end):
    """Else a shared cache would give it to visitors with another language."""
    front_end.client.cookies["django_language"] = "de"

    answer = front_end.get("/meeting-types")

    assert answer["Content-Language"] == "de"
    assert "Cookie" in answer["Vary"]


@pytest.mark.parametrize("added", [[], ["rest_framework"]])
@pytest.mark.parametrize("path", ["/appointments", "/meeting-types", "/meeting-types/intro-call"])
def test_a_browser_sees_the_api_with_debug(make_user, site, settings, appointment, path, added):
    """Also where the app with the templates of the browsable API is not installed."""
    settings.DEBUG = True
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, *added]

    staff = make_user("s", "view_appointment")
    answer = staff.client.get(f"/api/meetergo{path}", headers={"Accept": "text/html,*/*;q=0.8"})

    assert answer.status_code == 200


def test_the_description_asks_for_no_login(site, settings):
    """As little as the API itself."""
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "django.contrib.auth.middleware.LoginRequiredMiddleware"]

    assert Client().get("/api/meetergo/openapi.yaml").status_code == 200
