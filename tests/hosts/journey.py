"""Visit, book, move, be cancelled by a webhook, book again, cancel, and look at the admin: on one site.

``python -m tests.hosts.run NAME``. Whatever does not hold raises.
"""

from __future__ import annotations

import html
import re
from typing import Any
from urllib.parse import quote, urlsplit

from asgiref.sync import async_to_sync
from django.apps import apps
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.core import checks, mail
from django.core.management import call_command
from django.db import connections
from django.test import AsyncClient, Client
from django.test.utils import setup_test_environment
from django.urls import get_script_prefix, set_script_prefix
from django.utils import translation

from django_meetergo import links
from django_meetergo.contrib.rest_framework.permissions import VIEW_OWN, list_view_permissions
from django_meetergo.models import Appointment, Attendee, Booking
from django_meetergo.remote import transport
from django_meetergo.sandbox import changes
from django_meetergo.sandbox.app import Sandbox
from django_meetergo.services import AttendeeData, book_appointment, notifications
from django_meetergo.testing.guards import refuse_open_transactions
from django_meetergo.testing.kit import SandboxKit
from django_meetergo.testing.sandbox_adapter import SandboxAdapter

HOST: dict[str, Any] = settings.HOST
PERSON = {
    "first_name": "Jane",
    "last_name": "Doe",
    "email": "jane@example.com",
    "receive_reminders": "on",
    "website": "",
}


class Browser:
    """Opens addresses of the site as its web server hands them to Django."""

    def __init__(self) -> None:
        environ = HOST.get("environ", {})
        if HOST.get("is_async"):
            self.client: Any = AsyncClient(enforce_csrf_checks=True, **environ)
        else:
            environ = {"SERVER_NAME": "clinic.example", **environ}
            self.client = Client(enforce_csrf_checks=True, **environ)

    def send(self, method: str, url: str, **arguments: Any) -> Any:
        parts = urlsplit(html.unescape(url))
        mount = HOST["mount"]
        assert parts.path.startswith(f"{mount}/"), f"{url} leaves the site, which is at {mount}"
        # An ASGI server hands over the whole path, a WSGI server what is behind its prefix.
        path = parts.path if HOST.get("is_async") else parts.path.removeprefix(mount)
        call = getattr(self.client, method)
        call = async_to_sync(call) if HOST.get("is_async") else call
        before = get_script_prefix()
        set_script_prefix(f"{mount}/")  # as Django's handlers do; those of the test clients do not
        try:
            response = call(f"{path}?{parts.query}" if parts.query else path, **arguments)
        finally:
            set_script_prefix(before)
        assert response.status_code < 400, (method, url, response.status_code, response.content[:2000])
        return response

    def get(self, url: str) -> str:
        response = self.send("get", url)
        while response.status_code in {301, 302}:
            response = self.send("get", response["Location"])
        page = str(response.content.decode())
        check_page(url, page, response)
        return page

    def post(self, url: str, page: str, **data: str) -> Any:
        """Send a form of a page; its token comes from the page."""
        [token, *_] = re.findall(r'name="csrfmiddlewaretoken" value="([^"]+)"', page) or [""]
        return self.send("post", url, data={**data, "csrfmiddlewaretoken": token})


def check_page(url: str, page: str, response: Any) -> None:
    """Check what the policy of a site forbids in its pages."""
    if HOST.get("has_policy"):
        nonce = find(r"'nonce-(\w+)'", response["Content-Security-Policy"])
        for tag in re.findall(r"<(?:script|style)\b[^>]*>", page):
            is_allowed = f'nonce="{nonce}"' in tag or "src=" in tag or "application/json" in tag
            assert is_allowed, (url, tag)
        assert not re.search(r"<[^>]+\s(?:style|on\w+)=", page), url


def find(pattern: str, page: str) -> str:
    found = re.search(pattern, page)
    assert found, f"{pattern} is not in {page}"
    return html.unescape(found[1])


def book(browser: Browser, start_page: str) -> Booking:
    """Choose the first free time of a page, fill in the form, and read the outcome."""
    page = browser.get(start_page)
    details = find(r'action="([^"]*/details/)"', page)
    start = find(r'name="start" value="([^"]+)"', page)
    page = browser.get(f"{details}?start={quote(start)}")
    hidden = dict(re.findall(r'type="hidden" name="(start|duration|token)" value="([^"]+)"', page))
    answer = browser.post(details, page, **PERSON, **hidden)
    assert answer.status_code == 303, answer.content
    outcome = browser.get(answer["Location"])
    assert "jane@example.com" in outcome
    booking = Booking.objects.latest("pk")
    assert booking.state == "confirmed", (booking.state, booking.reason)
    return booking


def get_mailed_link(booking: Booking) -> str:
    """Return the path of the link to change the appointment, as a mail has it."""
    booking.refresh_from_db()
    booking.language = HOST.get("language", booking.language)
    notifications.send_to_booker("found_late", booking)
    link = find(r"(https?://\S+/manage/\S+)", mail.outbox[-1].body)
    mailed = HOST.get("mailed", f"{HOST['book']}manage/")
    assert link.startswith(f"https://clinic.example{HOST['mount']}{mailed}"), link
    return urlsplit(link).path


def check_visitor(kit: SandboxKit, browser: Browser) -> None:
    home = browser.get(f"{HOST['mount']}{HOST.get('home', '/')}")
    assert home.count("/intro-call/") > 2
    assert "consultation" in home
    assert "consultation" in browser.get(f"{HOST['mount']}{HOST['book']}")
    booking = book(browser, f"{HOST['mount']}{HOST['book']}intro-call/")
    manage = get_mailed_link(booking)
    if HOST.get("signs_out"):
        assert "/manage/" in Browser().get(manage), "the link in a mail asks for a login"
    page = browser.get(manage)
    moving = browser.get(find(r'href="([^"]*/reschedule/)"', page))
    *_, other = re.findall(r'name="start" value="([^"]+)"', moving)
    answer = browser.post(
        f"{manage}reschedule/", browser.get(f"{manage}reschedule/?start={quote(other)}"), start=other
    )
    assert answer.status_code == 303
    appointment = Appointment.objects.get()
    assert appointment.start != booking.start
    check_webhook(kit, appointment)


def check_webhook(kit: SandboxKit, appointment: Appointment) -> None:
    """The service cancels: the site hears of it under the address that it has registered."""
    with translation.override("de"):  # of the member of staff who asks for it
        kit.register_webhook()
    [hook] = kit.client("sync").list_webhooks()
    webhooks = HOST.get("webhooks", HOST["book"])
    assert hook.endpoint.startswith(f"https://clinic.example{HOST['mount']}{webhooks}webhooks/"), (
        hook.endpoint
    )
    remote = kit.sandbox.state.appointments[appointment.remote_id]
    changes.cancel(kit.sandbox.state, remote, source="host", by=None)
    assert kit.deliver() >= 1
    kit.run_due(after=30)
    appointment.refresh_from_db()
    assert appointment.status == Appointment.Status.CANCELLED


def check_cancel(browser: Browser) -> None:
    booking = book(browser, f"{HOST['mount']}{HOST['book']}intro-call/")
    manage = get_mailed_link(booking)
    page = browser.get(f"{manage}cancel/")
    assert browser.post(f"{manage}cancel/", page, reason="").status_code == 303
    assert Attendee.objects.get(booking=booking).appointment.is_cancelled


def check_subject(kit: SandboxKit) -> None:
    """An object of the site is found again, in whichever database the site keeps it."""
    subject = apps.get_model(HOST["subject"]).objects.create(name="Hatha yoga")
    attendee = AttendeeData(email="jane@example.com", first_name="Jane")
    start = kit.list_free_starts("consultation")[0]
    booking = book_appointment(meeting_type="consultation", start=start, attendee=attendee, subject=subject)
    assert Booking.objects.get(pk=booking.pk).subject == subject
    assert Appointment.objects.for_subject(subject).get().attendees.get().subject == subject
    assert links.find_subject(links.sign_subject(subject)) == subject


def check_admin() -> None:
    user = get_user_model()(
        is_staff=True, is_superuser=True, is_active=True, **HOST.get("staff", {"username": "anna"})
    )
    user.save()
    staff = Browser()
    login = staff.client.force_login
    login(user)
    admin = f"{HOST['mount']}{HOST['admin']}meetergo/"
    for page in (
        "appointment/",
        "booking/",
        "attendee/",
        "meetingtype/",
        "appointment/calendar/",
        "connection/",
    ):
        assert staff.get(f"{admin}{page}")
    assert "jane@example.com" in staff.get(f"{admin}attendee/?q=jane")
    for appointment in Appointment.objects.all():
        assert "Jane" in staff.get(f"{admin}appointment/{appointment.pk}/change/")


def check_permissions() -> None:
    """A user has what was granted to them or their group, under whatever names the user model has these."""
    granted = Permission.objects.get(codename="view_own_appointment")
    group = Group.objects.create(name="Hosts")
    group.permissions.add(granted)
    user = get_user_model()(
        **{name: f"other-{value}" for name, value in HOST.get("staff", {"username": "anna"}).items()}
    )
    user.save()
    assert list_view_permissions(user) == set()
    user.groups.add(group)
    assert list_view_permissions(user) == {VIEW_OWN}
    user.groups.clear()
    user.user_permissions.add(granted)
    assert list_view_permissions(user) == {VIEW_OWN}


def main() -> None:
    for alias in connections:
        call_command("migrate", run_syncdb=True, database=alias, verbosity=0)
    setup_test_environment()
    sandbox = Sandbox(rate_limit=False)
    transport.ADAPTERS[settings.MEETERGO["BASE_URL"]] = SandboxAdapter(sandbox.wsgi)
    transport.BEFORE_SEND.append(refuse_open_transactions)
    kit = SandboxKit(sandbox, base_url=settings.MEETERGO["BASE_URL"])
    if HOST.get("collects_static"):
        call_command("collectstatic", interactive=False, verbosity=0)
    if "DatabaseCache" in settings.CACHES["default"]["BACKEND"]:
        call_command("createcachetable", verbosity=0)
    found = [message for message in checks.run_checks() if message.level >= checks.ERROR]
    assert not found, found
    kit.sync_directory()
    browser = Browser()
    if user := HOST.get("visitor"):
        visitor = get_user_model()(is_active=True, **user)
        visitor.save()
        browser.client.force_login(visitor)
    check_visitor(kit, browser)
    check_cancel(browser)
    check_permissions()
    if HOST.get("subject"):
        check_subject(kit)
    if HOST["admin"]:
        check_admin()
