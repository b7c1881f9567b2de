"""Who may do what in the admin: every address of ours, asked by every role, against one table."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from django_meetergo import links
from django_meetergo.models import (
    AppointmentChange,
    Attendee,
    Booking,
    Connection,
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
    "connection", "appointment", "appointmentchange", "booking", "erasedperson", "event", "host",
    "meetingtype", "syncrun", "webhookdelivery",
]  # fmt: skip

#: Acts: address, and the permission that each needs beside seeing the row.
ACTS = {
    "appointment_cancel": "cancel_appointment",
    "appointment_move": "reschedule_appointment",
    "appointment_fetch": "sync_appointment",
    "appointment_link": "link_appointment",
    "booking_retry": "retry_booking",
    "booking_reconcile": "reconcile_booking",
    "booking_decline": "decline_booking",
    "appointmentchange_retry": "retry_appointmentchange",
    "webhookdelivery_replay": "replay_webhookdelivery",
    "connection_sync": "sync_connection",
}

#: Pages of ours: address and the one permission they need.
PAGES = {
    "connection_health": "health_connection",
    "booking_call": "add_booking",
    "appointment_batch": "view_appointment",
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
        "booking": BookingFactory(),
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


def addresses(rows: dict[str, Any]) -> dict[str, str]:
    found = {}
    for model in MODELS:
        row = rows[model]
        found[f"{model}_changelist"] = reverse(f"admin:meetergo_{model}_changelist")
        found[f"{model}_add"] = reverse(f"admin:meetergo_{model}_add")
        for view in ("change", "delete", "history"):
            found[f"{model}_{view}"] = reverse(f"admin:meetergo_{model}_{view}", args=[row.pk])
    for name in ACTS:
        model = name.partition("_")[0]
        found[name] = reverse(f"admin:meetergo_{name}") + f"?ids={rows[model].pk}"
    found["connection_health"] = reverse("admin:meetergo_connection_health")
    found["booking_call"] = reverse("admin:meetergo_booking_call")
    found["appointment_batch"] = reverse(
        "admin:meetergo_appointment_batch", args=[rows["appointmentchange"].batch]
    )
    return found


def expect(name: str, held: set[str] | None) -> str:
    """``held`` is None for who is not staff. The whole policy, in one place."""
    if held is None:
        return LOGIN
    model, _, view = name.partition("_")
    sees = bool({f"view_{model}", f"change_{model}"} & held)
    if name in ACTS:
        return YES if sees and ACTS[name] in held else NO
    if name in PAGES:
        return YES if PAGES[name] in held or (name == "appointment_batch" and sees) else NO
    if view == "add":
        return ELSEWHERE if model == "booking" else NO
    if view == "delete":
        return NO
    return YES if sees else NO


def answer(client: Client, path: str) -> str:
    response = client.get(path)
    if response.status_code == 302:
        return LOGIN if "/login/" in response.headers["Location"] else ELSEWHERE
    return {200: YES, 403: NO}.get(response.status_code, str(response.status_code))


def every_permission() -> list[str]:
    found = Permission.objects.filter(content_type__app_label="meetergo")
    return sorted(found.values_list("codename", flat=True))


def staff(*codenames: str) -> Client:
    user = User.objects.create_user(uuid4().hex, is_staff=True)
    user.user_permissions.set(
        Permission.objects.filter(content_type__app_label="meetergo", codename__in=codenames)
    )
    client = Client()
    client.force_login(user)
    return client


def attendee(row: Attendee) -> Client:
    """Somebody who is signed in, has an appointment, and has opened the link to it."""
    row.user = User.objects.create_user(uuid4().hex)
    row.save()
    client = Client()
    client.force_login(row.user)
    assert client.get(links.get_manage_path(row)).status_code == 200
    return client


def list_mismatches(client: Client, held: set[str] | None, rows: dict[str, Any], role: str) -> list[str]:
    return [
        f"{role}: {name} {got}, not {wanted}"
        for name, path in addresses(rows).items()
        if (got := answer(client, path)) != (wanted := expect(name, held))
    ]


def test_no_role_sees_or_does_more_or_less_than_it_may(rows):
    """Anonymous, attendees, staff with nothing, with each permission, with a view and each, a superuser."""
    boss = Client()
    boss.force_login(User.objects.create_superuser("boss"))
    everything = every_permission()
    roles: list[tuple[str, Client, set[str] | None]] = [
        ("anonymous", Client(), None),
        ("attendee with link", attendee(rows["appointment"].attendees.get()), None),
        ("another attendee", attendee(AttendeeFactory()), None),
        ("staff", staff(), set()),
        ("superuser", boss, set(everything)),
    ]
    views = [name for name in everything if name.startswith("view_")]
    roles.append(("sees all", staff(*views), set(views)))
    for kind in ("add_", "change_", "delete_"):
        held = [name for name in everything if name.startswith(kind)]
        roles.append((f"{kind}*", staff(*held), set(held)))
    for codename in [*ACTS.values(), "health_connection"]:
        roles.append((codename, staff(codename), {codename}))
        roles.append((f"sees all, {codename}", staff(*views, codename), {*views, codename}))

    found = [line for role, client, held in roles for line in list_mismatches(client, held, rows, role)]

    assert found == []
    assert len(roles) * len(addresses(rows)) > 1500


@pytest.mark.parametrize("answered", [True, False])
def test_the_matrix_sees_a_door_that_is_open_or_shut_by_mistake(rows, monkeypatch, answered):
    from django_meetergo.admin.base import MeetergoAdmin

    monkeypatch.setattr(MeetergoAdmin, "may", lambda *args: answered)
    views = [f"view_{model}" for model in MODELS]
    boss = [*views, *ACTS.values(), "health_connection", "add_booking"]

    wrong = list_mismatches(staff(*views), set(views), rows, "sees all")
    wrong += list_mismatches(staff(*boss), set(boss), rows, "does all")

    assert {line.partition(":")[0] for line in wrong} == {"sees all" if answered else "does all"}


def test_the_table_names_every_address_of_ours(rows):
    """A view that is added later must be added to the policy."""
    from django_meetergo.admin.base import MeetergoAdmin

    known = set(addresses(rows))
    for model, model_admin in admin.site._registry.items():
        if isinstance(model_admin, MeetergoAdmin):
            names = {pattern.name for pattern in model_admin.get_urls() if pattern.name}
            assert {name.removeprefix("meetergo_") for name in names} - {"view_on_site"} <= known, model


@pytest.mark.parametrize("name", ACTS)
def test_an_act_sent_without_permission_does_nothing(rows, name, meetergo_sandbox):
    """Also when the form is sent at once, without the page that asks."""
    model = name.partition("_")[0]
    views = [f"view_{each}" for each in MODELS]
    before = type(rows[model]).objects.filter(pk=rows[model].pk).values().get()
    requests = len(meetergo_sandbox.sandbox.request_log.entries(kind="request"))

    for client in (Client(), staff(), staff(*views), staff(ACTS[name])):
        data = {"ids": str(rows[model].pk), "confirmed": "yes", "days": "1"}
        response = client.post(reverse(f"admin:meetergo_{name}"), data)
        assert response.status_code in {302, 403}
        assert response.status_code == 403 or "/login/" in response.headers["Location"]

    assert type(rows[model]).objects.filter(pk=rows[model].pk).values().get() == before
    assert len(meetergo_sandbox.sandbox.request_log.entries(kind="request")) == requests


@pytest.mark.parametrize("name", ACTS)
def test_an_action_is_not_offered_without_its_permission(rows, name):
    model, _, act = name.partition("_")
    path = reverse(f"admin:meetergo_{model}_changelist")

    without = staff(f"view_{model}").get(path).content.decode()
    with_it = staff(f"view_{model}", ACTS[name]).get(path).content.decode()

    assert f'value="meetergo_{act}"' not in without
    assert f'value="meetergo_{act}"' in with_it


def test_an_act_needs_the_token_of_its_own_site(rows):
    """A form on another site cannot cancel anything."""
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create_superuser("boss"))

    data = {"ids": str(rows["appointment"].pk), "confirmed": "yes"}
    response = client.post(reverse("admin:meetergo_appointment_cancel"), data)

    assert response.status_code == 403


def test_a_row_that_is_hidden_from_somebody_is_hidden_from_their_acts(rows, monkeypatch):
    """A site that narrows ``get_queryset`` need not narrow the acts as well."""
    from django_meetergo.admin.appointments import AppointmentAdmin

    shown = AppointmentAdmin.get_queryset
    monkeypatch.setattr(AppointmentAdmin, "get_queryset", lambda self, request: shown(self, request).none())
    boss = Client()
    boss.force_login(User.objects.create_superuser("boss"))

    page = boss.get(addresses(rows)["appointment_cancel"]).content.decode()

    assert "None of these rows is there" in page
    assert 'name="confirmed"' not in page


def test_each_row_is_asked_about_by_itself(rows, monkeypatch):
    """A permission for one row does not reach the next."""
    from django_meetergo.admin.appointments import AppointmentAdmin

    other = AttendeeFactory().appointment
    own = rows["appointment"]
    AppointmentChange.objects.all().delete()
    monkeypatch.setattr(
        AppointmentAdmin, "may", lambda self, request, action, obj=None: obj is not None and obj.pk == own.pk
    )
    client = staff("view_appointment")

    page = client.get(
        reverse("admin:meetergo_appointment_cancel"), {"ids": f"{own.pk},{other.pk}"}
    ).content.decode()

    assert "Cancel 1 appointment?" in page
    assert "You may not do this – left alone" in page
    assert Booking.objects.count() == 1
