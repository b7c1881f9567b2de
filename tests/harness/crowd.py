"""Visitors who come all the time: they book, and many cancel or reschedule afterwards."""

from __future__ import annotations

import html
import random
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from tests.harness import storm
from tests.harness.visitor import START, Visit, Visitor, read_hidden

MANAGE = re.compile(r'href="(/book/manage/[^"/]+/)"')
PAUSE_SECONDS = 0.3
#: The share of those with an appointment who change it.
CHANGE_SHARE = 0.6
#: A visitor does not wait longer for a page.
PATIENCE_SECONDS = 20


@contextmanager
def keep_coming(
    url: str, visits: list[Visit], *, clients: int, seed: int, pause: float = PAUSE_SECONDS
) -> Iterator[None]:
    """Send visitors, ``clients`` at a time, until the block ends; add their visits to ``visits``.

    ``pause`` is how many seconds each client waits between two of them.
    """
    over = threading.Event()

    def come(client: int) -> None:
        number = 0
        while not over.is_set():
            dice = random.Random(f"{seed}.{client}.{number}")
            visit = storm.build_visit(f"{seed}x{client}x{number}", dice)
            visits.append(visit)
            visitor = Visitor(url, dice, visit, timeout=PATIENCE_SECONDS)
            visitor.book(days_ahead=dice.randrange(1, storm.DAYS))
            if visit.screen == "confirmed" and dice.random() < CHANGE_SHARE:
                change_appointment(visitor)
            number += 1
            over.wait(pause)

    with ThreadPoolExecutor(clients) as pool:
        coming = [pool.submit(come, client) for client in range(clients)]
        try:
            yield
        finally:
            over.set()
            for one in coming:
                one.result()


def change_appointment(visitor: Visitor) -> None:
    """Cancel or reschedule, by the link on the page of the booking."""
    page = visitor.request("GET", visitor.visit.outcome_url)
    found = MANAGE.search(page.text) if page is not None else None
    if found is None:
        return
    path = found.group(1)
    if visitor.dice.random() < 0.5:
        send_form(visitor, f"{path}cancel/", {"reason": "ill"})
        return
    times = visitor.request("GET", f"{path}reschedule/")
    starts = START.findall(times.text) if times is not None else []
    if starts:
        send_form(visitor, f"{path}reschedule/", {"start": html.unescape(visitor.dice.choice(starts))})


def send_form(visitor: Visitor, path: str, given: dict[str, str]) -> None:
    form = visitor.request("GET", path, params=given)
    hidden = read_hidden(form.text) if form is not None else {}
    visitor.request("POST", path, data={**hidden, **given})
