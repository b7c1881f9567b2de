"""Who may do what outside the admin: six roles request every page and REST URL; one table holds the policy.

The link of an attendee is their key. Roles without it guess: they send the right id with an invented
signature, or with the signature of another link.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth import get_user
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from django_meetergo import links
from django_meetergo.contrib.rest_framework import permissions
from django_meetergo.contrib.rest_framework.throttling import RATES
from django_meetergo.contrib.rest_framework.urls import urlpatterns as rest_patterns
from django_meetergo.models import Appointment, Booking, CalendarFeed, Host
from django_meetergo.services import AttendeeData, book_appointment
from django_meetergo.urls import urlpatterns
from django_meetergo.views import decorators

pytestmark = pytest.mark.django_db(transaction=True)

NO, YES = "no", "yes"

#: A body that a view rejects after the permission check, so that the request changes nothing.
TOO_LONG = {"reason": "x" * 10_000}

#: URLs that only a link opens, and the body to send.
OF_BOOKING: dict[str, Any] = {"outcome": None, "rest:booking": None, "rest:booking_check": {}}
#: Opened by the secret address of a staff user's calendar feed.
FEED = "feed"
OF_ATTENDEE: dict[str, Any] = {
    "manage": None,
    "ics": None,
    "reschedule": None,
    "reschedule POST": {},
    "cancel": None,
    "cancel POST": TOO_LONG,
    "rest:manage": None,
    "rest:manage_check": {},
    "rest:manage_times": None,
    "rest:manage_cancel": TOO_LONG,
    "rest:manage_reschedule": {},
}
#: REST URLs for staff: the body to send, and the permissions of which one is needed besides "view".
OF_STAFF: dict[str, tuple[Any, tuple[str, ...]]] = {
    "rest:appointments": (None, permissions.VIEW),
    "rest:appointment": (None, permissions.VIEW),
    "rest:cancel": (TOO_LONG, permissions.CANCEL),
    "rest:reschedule": ({}, permissions.RESCHEDULE),
    "rest:resync": ({}, permissions.SYNC),
}
#: Opened by a token in the settings only. All other URLs are public.
WEBHOOK = "webhook"


@dataclass(frozen=True)
class Role:
    name: str
    client: Client
    #: Turns the right token of a link into the one that this role sends.
    token: Callable[[str], str]
    holds_link: bool = False
    held: frozenset[str] = frozenset()
    #: Whether the appointment is among those that ``held`` shows.
    sees_jane: bool = True


@pytest.fixture
def site(meetergo_sandbox: Any, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    # Six roles at one network address guess more links than the limit allows.
    monkeypatch.setattr(decorators, "WRONG_LINK_LIMIT", replace(decorators.WRONG_LINK_LIMIT, times=10_000))
    settings.ROOT_URLCONF = "tests.api.urls"
    settings.REST_FRAMEWORK = {"DEFAULT_THROTTLE_RATES": dict.fromkeys(RATES)}
    meetergo_sandbox.sync_directory()
    return meetergo_sandbox


@pytest.fixture
def jane(site: Any) -> Booking:
    return book(site, "jane@example.com", 0)


def book(site: Any, email: str, number: int) -> Booking:
    person = AttendeeData(email=email, first_name=email.partition("@")[0].title(), last_name="Doe")
    return book_appointment(
        meeting_type=site.meeting_type(),
        start=site.list_free_starts()[number],
        attendee=person,
        client=site.client(),
        now=site.now(),
    )


def guess(token: str) -> str:
    return f"{token.partition('~')[0]}~{uuid4().hex}"


def signed_in(*codenames: str, **options: Any) -> Client:
    user = User.objects.create_user(uuid4().hex, **options)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def roles(site: Any, jane: Booking) -> list[Role]:
    joe = book(site, "joe@example.com", 6)
    own = links.sign(joe.attendee.public_id, salt=links.MANAGE_SALT).partition("~")[2]
    view = "view_appointment"
    owner = signed_in("view_own_appointment", "cancel_appointment", is_staff=True)
    host = jane.meeting_type.hosts.get()
    Host.objects.filter(pk=host.pk).update(user=get_user(owner))
    jane.attendee.appointment.hosts.set([host])
    every = frozenset({*permissions.VIEW, *permissions.CANCEL, *permissions.RESCHEDULE, *permissions.SYNC})
    return [
        Role("anonymous", Client(), guess),
        Role("attendee with link", signed_in(), str, holds_link=True),
        Role("another attendee", signed_in(), lambda token: f"{token.partition('~')[0]}~{own}"),
        Role("staff without permissions", signed_in(is_staff=True), guess),
        Role("staff with view", signed_in(view, is_staff=True), guess, held=frozenset(permissions.VIEW)),
        Role("staff with own", owner, guess, held=frozenset({permissions.VIEW_OWN, permissions.CANCEL[0]})),
        Role(
            "staff with others",
            signed_in("view_own_appointment", "cancel_appointment", is_staff=True),
            guess,
            held=frozenset({permissions.VIEW_OWN, permissions.CANCEL[0]}),
            sees_jane=False,
        ),
        Role("superuser", signed_in(is_staff=True, is_superuser=True), guess, held=every),
    ]


def expect(name: str, role: Role) -> str:
    """Return the expected answer for a role."""
    if name in OF_STAFF:
        _body, needed = OF_STAFF[name]
        if not role.sees_jane and name != "rest:appointments":
            return NO
        return YES if set(permissions.VIEW) & role.held and set(needed) & role.held else NO
    if name in OF_BOOKING or name in OF_ATTENDEE or name == FEED:
        return YES if role.holds_link else NO
    return NO if name == WEBHOOK else YES


def get_feed() -> CalendarFeed:
    """Return the feed of a superuser."""
    boss = User.objects.get(is_superuser=True)
    return CalendarFeed.objects.get_or_create(name="phone", user=boss)[0]


def list_calls(jane: Booking, role: Role) -> dict[str, tuple[str, Any]]:
    """Return URL and body (None for GET) of every view, as this role requests it."""
    booking = role.token(links.sign(jane.public_id, salt=links.BOOKING_SALT))
    attendee = role.token(links.sign(jane.attendee.public_id, salt=links.MANAGE_SALT))
    slug = jane.meeting_type.slug
    of = {
        **{name: ([booking], body) for name, body in OF_BOOKING.items()},
        **{name: ([attendee], body) for name, body in OF_ATTENDEE.items()},
        **{
            name: ([] if name == "rest:appointments" else [jane.attendee.appointment.public_id], body)
            for name, (body, _needed) in OF_STAFF.items()
        },
        FEED: ([role.token(links.sign(get_feed().public_id, salt=links.FEED_SALT))], None),
        "index": ([], None),
        "send_links": ([], None),
        "timezone": ([], {"tz": "Europe/Berlin", "next": "/book/"}),
        "webhook": ([uuid4().hex], {}),
        "book": ([slug], None),
        "details": ([slug], None),
        "rest:openapi": ([], None),
        "rest:meeting_types": ([], None),
        "rest:meeting_type": ([slug], None),
        "rest:availability": ([slug], None),
        "rest:bookings": ([], {}),
    }  # fmt: skip
    return {name: (build_url(name, args), body) for name, (args, body) in of.items()}


def build_url(name: str, args: list[Any]) -> str:
    app, _, view = name.removesuffix(" POST").rpartition(":")
    return reverse(f"meetergo_rest:{view}" if app else f"meetergo:{view}", args=args)


def request_page(client: Client, path: str, body: Any) -> str:
    sent = {"content_type": "application/json"} if "/api/" in path else {}
    response = client.get(path) if body is None else client.post(path, body, **sent)
    return NO if response.status_code in {401, 403, 404} else YES


def list_mismatches(jane: Booking, roles: list[Role]) -> list[str]:
    return [
        f"{role.name}: {name} {got}, not {wanted}"
        for role in roles
        for name, (path, body) in list_calls(jane, role).items()
        if (got := request_page(role.client, path, body)) != (wanted := expect(name, role))
    ]


def test_every_role_gets_exactly_what_the_policy_allows(jane, roles):
    """The requests change nothing."""
    before = Appointment.objects.order_by("pk").values_list("start", "status")
    known = list(before)

    assert list_mismatches(jane, roles) == []

    assert list(before.all()) == known
    assert len(roles) * len(list_calls(jane, roles[0])) > 150


def test_the_table_names_every_build_url(jane, roles):
    """A view that is added later must be added to the policy."""
    named = {name.removesuffix(" POST") for name in list_calls(jane, roles[0])}

    assert named == {
        *(pattern.name for pattern in urlpatterns),
        *(f"rest:{pattern.name}" for pattern in rest_patterns),
    }


@pytest.mark.parametrize(
    ("target", "broken", "who"),
    [
        ("django_meetergo.links.unsign", lambda token, *, salt: token.partition("~")[0], "another attendee"),
        (
            "django_meetergo.contrib.rest_framework.permissions.has_any_permission",
            lambda *args: True,
            "staff without",
        ),
        (
            "django_meetergo.contrib.rest_framework.permissions.has_any_permission",
            lambda *args: False,
            "superuser",
        ),
    ],
)
def test_the_matrix_detects_a_wrong_permission_check(jane, roles, monkeypatch, target, broken, who):
    monkeypatch.setattr(target, broken)

    assert any(line.startswith(who) for line in list_mismatches(jane, roles))


def test_a_link_shows_its_own_appointment_and_no_other(site, jane, roles):
    """No page of Joe's link shows Jane, and no page of Jane's link shows Joe."""
    joe = Booking.objects.get(email="joe@example.com")
    for mine, other in ((jane, joe), (joe, jane)):
        for name in ("manage", "ics", "cancel", "reschedule", "rest:manage"):
            token = links.sign(mine.attendee.public_id, salt=links.MANAGE_SALT)
            page = Client().get(build_url(name, [token])).content.decode()
            assert other.first_name not in page
            assert other.email not in page
