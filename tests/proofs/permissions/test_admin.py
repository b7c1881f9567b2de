"""Who may do what in the admin: every role requests every URL; one table holds the policy."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.contrib import admin
from django.contrib.auth import get_user
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from django_meetergo import links
from django_meetergo.admin.appointments import AppointmentAdmin
from django_meetergo.admin.base import MeetergoAdmin
from django_meetergo.models import (
    AppointmentChange,
    Attendee,
    Booking,
    CalendarFeed,
    Connection,
    DataField,
    ErasedPerson,
    Event,
    Host,
    SyncRun,
    WebhookDelivery,
)
from django_meetergo.testing.factories import AttendeeFactory, BookingFactory

pytestmark = pytest.mark.django_db

LOGIN, NO, YES, ELSEWHERE = "login", "no", "yes", "elsewhere"

MODELS = [
    "connection", "appointment", "appointmentchange", "attendee", "booking", "calendarfeed", "datafield",
    "erasedperson", "event", "host",
    "meetingtype", "syncrun", "webhookdelivery",
]  # fmt: skip

#: Actions: URL name, and the permission each needs besides seeing the row.
ACTIONS = {
    "appointment_cancel": "cancel_appointment",
    "appointment_reschedule": "reschedule_appointment",
    "appointment_handoff": "handoff_appointment",
    "appointment_came": "change_appointment",
    "appointment_no_show": "change_appointment",
    "appointment_fetch": "sync_appointment",
    "appointment_link": "link_appointment",
    "booking_retry": "retry_booking",
    "booking_reconcile": "reconcile_booking",
    "booking_decline": "decline_booking",
    "booking_not_booked": "reconcile_booking",
    "booking_resolved": "reconcile_booking",
    "appointmentchange_retry": "retry_appointmentchange",
    "event_retry": "retry_event",
    "webhookdelivery_replay": "replay_webhookdelivery",
    "connection_sync": "sync_connection",
    "meetingtype_one_time_link": "link_meetingtype",
}

#: Additional pages: URL name, and the one permission each needs.
PAGES = {
    "connection_health": "health_connection",
    "booking_call": "add_booking",
    "appointment_batch": "view_appointment",
    "appointment_calendar": "view_appointment",
    "appointment_export": "export_appointment",
}


@pytest.fixture
def rows(meetergo_sandbox: Any) -> dict[str, Any]:
    """One row of every kind."""
    now = timezone.now()
    attendee = AttendeeFactory()
    appointment = attendee.appointment
    made = {
        "connection": Connection.objects.create(),
        "appointment": appointment,
        "appointmentchange": AppointmentChange.objects.create(
            appointment=appointment, kind="cancel", requested_by="host", previous_start=appointment.start,
            created_at=now, batch=uuid4(), next_at=now + timedelta(days=1),
        ),
        "attendee": attendee,
        "booking": BookingFactory(),
        "calendarfeed": CalendarFeed.objects.create(name="phone", user=User.objects.create_user("carla")),
        "datafield": DataField.objects.create(remote_id="f", label="Insurance"),
        "erasedperson": ErasedPerson.objects.create(digest="d", erased_at=now),
        "event": Event.objects.create(kind="booking_received", key="k", created_at=now),
        "host": Host.objects.create(remote_id="h", name="Anna"),
        "meetingtype": appointment.meeting_type,
        "syncrun": SyncRun.objects.create(kind="near", started_at=now),
        "webhookdelivery": WebhookDelivery.objects.create(
            digest="d", received_at=now, remote_id="r", state="dead"
        ),
    }  # fmt: skip
    assert set(made) == set(MODELS)
    return made


def list_urls(rows: dict[str, Any]) -> dict[str, str]:
    found = {}
    for model in MODELS:
        row = rows[model]
        found[f"{model}_changelist"] = reverse(f"admin:meetergo_{model}_changelist")
        found[f"{model}_add"] = reverse(f"admin:meetergo_{model}_add")
        for view in ("change", "delete", "history"):
            found[f"{model}_{view}"] = reverse(f"admin:meetergo_{model}_{view}", args=[row.pk])
    for name in ACTIONS:
        model = name.partition("_")[0]
        found[name] = reverse(f"admin:meetergo_{name}") + f"?ids={rows[model].pk}"
    found["connection_health"] = reverse("admin:meetergo_connection_health")
    for name in ("booking_call", "appointment_calendar", "appointment_export"):
        found[name] = reverse(f"admin:meetergo_{name}")
    found["appointment_batch"] = reverse(
        "admin:meetergo_appointment_batch", args=[rows["appointmentchange"].batch]
    )
    return found


def expect(name: str, held: set[str] | None) -> str:
    """Return the expected answer. ``held`` is None for users who are not staff."""
    if held is None:
        return LOGIN
    model, _, view = name.partition("_")
    sees = bool({f"view_{model}", f"change_{model}"} & held)
    if model in {"appointment", "attendee"}:
        # Whoever may see appointments may see their attendees.
        sees = sees or bool({"view_appointment", "view_own_appointment", "change_appointment"} & held)
    if name in ACTIONS:
        return YES if sees and ACTIONS[name] in held else NO
    if name in PAGES:
        if name in {"appointment_batch", "appointment_calendar"}:
            return YES if sees else NO
        return YES if PAGES[name] in held and (sees or name != "appointment_export") else NO
    if model == "calendarfeed" and view in {"add", "delete"}:
        # Whoever creates a feed sees appointments in it.
        reads = {"view_appointment", "view_own_appointment", "change_appointment"} & held
        return YES if f"{view}_calendarfeed" in held and (reads or view == "delete") else NO
    if view == "add":
        return ELSEWHERE if model == "booking" else NO
    if view == "delete":
        return NO
    return YES if sees else NO


def request_page(client: Client, path: str) -> str:
    response = client.get(path)
    if response.status_code == 302:
        return LOGIN if "/login/" in response.headers["Location"] else ELSEWHERE
    return {200: YES, 403: NO}.get(response.status_code, str(response.status_code))


def list_permissions() -> list[str]:
    found = Permission.objects.filter(content_type__app_label="meetergo")
    return sorted(found.values_list("codename", flat=True))


def make_staff(*codenames: str) -> Client:
    user = User.objects.create_user(uuid4().hex, is_staff=True)
    user.user_permissions.set(
        Permission.objects.filter(content_type__app_label="meetergo", codename__in=codenames)
    )
    client = Client()
    client.force_login(user)
    return client


def make_owner(rows: dict[str, Any], *codenames: str) -> Client:
    """Return the client of a staff user who is the host of all rows."""
    client = make_staff(*codenames)
    Host.objects.filter(pk=rows["host"].pk).update(user=get_user(client))
    CalendarFeed.objects.update(user=get_user(client))
    rows["appointment"].hosts.add(rows["host"])
    rows["booking"].meeting_type.hosts.add(rows["host"])
    Event.objects.filter(pk=rows["event"].pk).update(appointment=rows["appointment"])
    return client


def make_attendee(row: Attendee) -> Client:
    """Return the client of a signed-in user who has opened the link to their appointment."""
    row.user = User.objects.create_user(uuid4().hex)
    row.save()
    client = Client()
    client.force_login(row.user)
    assert client.get(links.get_manage_path(row)).status_code == 200
    return client


def list_mismatches(client: Client, held: set[str] | None, rows: dict[str, Any], role: str) -> list[str]:
    return [
        f"{role}: {name} {got}, not {wanted}"
        for name, path in list_urls(rows).items()
        if (got := request_page(client, path)) != (wanted := expect(name, held))
    ]


def test_every_role_gets_exactly_what_the_policy_allows(rows):
    """Anonymous, attendees, staff with no, one and several permissions, and a superuser."""
    superuser = Client()
    superuser.force_login(User.objects.create_superuser("boss"))
    everything = list_permissions()
    roles: list[tuple[str, Client, set[str] | None]] = [
        ("anonymous", Client(), None),
        ("attendee with link", make_attendee(rows["appointment"].attendees.get()), None),
        ("another attendee", make_attendee(AttendeeFactory()), None),
        ("staff", make_staff(), set()),
        ("superuser", superuser, set(everything)),
    ]
    views = [name for name in everything if name.startswith("view_")]
    roles.append(("sees all", make_staff(*views), set(views)))
    own = {"view_own_appointment", "cancel_appointment", "change_appointment", "export_appointment"}
    roles.append(("sees own", make_owner(rows, *own), own))
    for kind in ("add_", "change_", "delete_"):
        held = [name for name in everything if name.startswith(kind)]
        roles.append((f"{kind}*", make_staff(*held), set(held)))
    for codename in sorted({*ACTIONS.values(), *PAGES.values()}):
        roles.append((codename, make_staff(codename), {codename}))
        roles.append((f"sees all, {codename}", make_staff(*views, codename), {*views, codename}))

    found = [line for role, client, held in roles for line in list_mismatches(client, held, rows, role)]

    assert found == []
    assert len(roles) * len(list_urls(rows)) > 1500


@pytest.mark.parametrize("answered", [True, False])
def test_the_matrix_detects_a_wrong_permission_check(rows, monkeypatch, answered):
    monkeypatch.setattr(MeetergoAdmin, "is_permitted", lambda *args: answered)
    views = [f"view_{model}" for model in MODELS]
    everything = [*views, *ACTIONS.values(), *PAGES.values()]

    wrong = list_mismatches(make_staff(*views), set(views), rows, "sees all")
    wrong += list_mismatches(make_staff(*everything), set(everything), rows, "does all")

    assert {line.partition(":")[0] for line in wrong} == {"sees all" if answered else "does all"}


def test_the_policy_names_every_url(rows):
    """A view that is added later must be added to the policy."""
    known = set(list_urls(rows))
    for model, model_admin in admin.site._registry.items():
        if isinstance(model_admin, MeetergoAdmin):
            names = {pattern.name for pattern in model_admin.get_urls() if pattern.name}
            assert {name.removeprefix("meetergo_") for name in names} - {"view_on_site"} <= known, model


@pytest.mark.parametrize("name", ACTIONS)
def test_an_action_without_permission_does_nothing(rows, name, meetergo_sandbox):
    """Even when the form is sent without the confirmation page."""
    model = name.partition("_")[0]
    views = [f"view_{each}" for each in MODELS]
    before = type(rows[model]).objects.filter(pk=rows[model].pk).values().get()
    requests = len(meetergo_sandbox.sandbox.request_log.entries(kind="request"))

    clients = [Client(), make_staff(), make_staff(*views)]
    if expect(name, {ACTIONS[name]}) == NO:
        clients.append(make_staff(ACTIONS[name]))
    for client in clients:
        data = {"ids": str(rows[model].pk), "confirmed": "yes", "days": "1"}
        response = client.post(reverse(f"admin:meetergo_{name}"), data)
        assert response.status_code in {302, 403}
        assert response.status_code == 403 or "/login/" in response.headers["Location"]

    assert type(rows[model]).objects.filter(pk=rows[model].pk).values().get() == before
    assert len(meetergo_sandbox.sandbox.request_log.entries(kind="request")) == requests


@pytest.mark.parametrize("name", ACTIONS)
def test_an_action_is_not_offered_without_its_permission(rows, name):
    model, _, action = name.partition("_")
    path = reverse(f"admin:meetergo_{model}_changelist")

    without = make_staff(f"view_{model}").get(path).content.decode()
    with_it = make_staff(f"view_{model}", ACTIONS[name]).get(path).content.decode()

    assert f'value="meetergo_{action}"' not in without
    assert f'value="meetergo_{action}"' in with_it


def test_an_action_needs_a_csrf_token(rows):
    """A form on another site cannot cancel anything."""
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create_superuser("boss"))

    data = {"ids": str(rows["appointment"].pk), "confirmed": "yes"}
    response = client.post(reverse("admin:meetergo_appointment_cancel"), data)

    assert response.status_code == 403


def test_a_row_that_is_hidden_from_a_user_is_hidden_from_their_actions(rows, monkeypatch):
    """A site that narrows ``get_queryset`` need not narrow the actions as well."""
    shown = AppointmentAdmin.get_queryset
    monkeypatch.setattr(AppointmentAdmin, "get_queryset", lambda self, request: shown(self, request).none())
    superuser = Client()
    superuser.force_login(User.objects.create_superuser("boss"))

    page = superuser.get(list_urls(rows)["appointment_cancel"]).content.decode()

    assert "These records do not exist" in page
    assert 'name="confirmed"' not in page


def test_permissions_are_checked_for_each_row(rows, monkeypatch):
    """A permission for one row does not reach the next."""
    other = AttendeeFactory().appointment
    own = rows["appointment"]
    AppointmentChange.objects.all().delete()
    monkeypatch.setattr(
        AppointmentAdmin,
        "is_permitted",
        lambda self, request, action, obj=None: obj is not None and obj.pk == own.pk,
    )
    client = make_staff("view_appointment")

    page = client.get(
        reverse("admin:meetergo_appointment_cancel"), {"ids": f"{own.pk},{other.pk}"}
    ).content.decode()

    assert "Cancel 1 appointment?" in page
    assert "No change: you are not allowed to do this" in page
    assert Booking.objects.count() == 1
