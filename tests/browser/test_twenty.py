"""Twenty visitors book the same time."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import requests
from playwright.sync_api import expect

from django_meetergo.models import Booking

TWENTY = 20


class FormClient:
    """An HTTP client that sends cookies and forms like a browser."""

    def __init__(self, url: str, number: int) -> None:
        self.session, self.url = requests.Session(), f"{url}/book/intro-call/"
        self.person = {
            "first_name": f"Name{number}",
            "last_name": "Doe",
            "email": f"name{number}@example.com",
        }

    def open_form(self, start: str) -> None:
        page = self.session.get(f"{self.url}details/", params={"start": start}).text
        hidden = re.findall(r'name="(csrfmiddlewaretoken|start|duration|token)" value="([^"]+)"', page)
        self.form = {**dict(hidden), **self.person, "receive_reminders": "on", "website": ""}

    def send(self) -> Any:
        with self.session:
            return self.session.post(f"{self.url}details/", self.form, headers={"Referer": self.url})


def test_one_is_booked_and_nineteen_keep_their_details_and_see_other_times(
    live_server: Any, service: Any
) -> None:
    start = service.list_free_starts()[0].isoformat()
    clients = [FormClient(live_server.url, number) for number in range(TWENTY)]
    for client in clients:
        client.open_form(start)

    with ThreadPoolExecutor(TWENTY) as pool:
        answers = list(pool.map(FormClient.send, clients))

    lost = [
        (client, answer) for client, answer in zip(clients, answers, strict=True) if answer.status_code == 409
    ]
    assert len(lost) == TWENTY - 1
    (won,) = [answer for answer in answers if answer.status_code == 200]
    assert "Your appointment is booked" in won.text
    assert len(service.appointments()) == 1
    for client, answer in lost:
        assert "is no longer free" in answer.text
        assert len(re.findall(r'type="radio" name="start"', answer.text)) == 4
        for value in client.person.values():
            assert value in answer.text


def test_the_slower_of_two_browsers_books_another_time_with_one_click(service: Any, make_person: Any) -> None:
    fast, slow = make_person(), make_person()
    for number, person in enumerate((fast, slow)):
        person.choose_time()
        person.fill_in(**{"E-mail address": f"person{number}@example.com"})
    fast.press("Book this time")
    fast.expect_title("Your appointment is booked")
    slow.press("Book this time")

    expect(slow.heading).to_contain_text("is no longer free")
    slow.page.get_by_role("radio").first.check()
    slow.press("Book this time instead")

    slow.expect_title("Your appointment is booked")
    assert Booking.objects.filter(state=Booking.State.CONFIRMED).count() == 2
    assert len(service.appointments()) == 2
