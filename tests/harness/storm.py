"""Many people book through the site's own forms while the network to the service breaks in every way.

``--variation late`` lands some requests after the time within which they should have; ``replay`` has the
network deliver some twice; ``no-references`` is a service that does not return our references; ``skewed`` one
whose clock is minutes ahead, also while it loses answers. Nothing is delivered twice in these two: what makes
a second seat in a group the surplus one is its reference.

The site gets no webhooks. A full sync, as every night has one, reads everything before the judge does.
"""

from __future__ import annotations

import argparse
import random
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django_meetergo.sandbox.app import Sandbox
from tests.harness import judge, workers
from tests.harness.deployment import deploy
from tests.harness.proxy import FAULTS, Plan
from tests.harness.visitor import Visit, Visitor

SLUGS = ("intro-call", "consultation", "next-therapist", "group-class")
OUTCOME_SECONDS = 4.0
LEASE_SECONDS = 6.0
TIMEOUT_SECONDS = 1.5
QUIET_SECONDS = 180.0
#: How many visitors a busy machine looks up after a storm, those included whose answer arrived.
LOOKUPS_PER_SECOND = 20
DAYS = 180  # the bookings are spread over as many days as the pages can be turned to
#: In minutes of each day, so that the last visitor finds a free time, too.
OPENING_HOURS = ((6 * 60, 22 * 60),)
#: A run in which more visitors find none shows less than it says.
MIN_SHARE_SENT = 0.8
VARIATIONS = ("plain", "late", "replay", "no-references", "skewed")
SKEW_SECONDS = 420.0  # more than the outcome deadline and the time of a search


def main(arguments: Sequence[str]) -> dict[str, Any]:
    parser = argparse.ArgumentParser(prog="python -m tests.harness storm")
    parser.add_argument("--bookings", type=int, default=10_000)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--share", type=float, default=0.3)
    parser.add_argument("--variation", choices=VARIATIONS, default="plain")
    parser.add_argument("--seed", type=int, default=1)
    return workers.run_from_command_line(run, parser, arguments, SABOTAGES)


def run(
    *,
    bookings: int,
    clients: int = 8,
    share: float = 0.3,
    variation: str = "plain",
    seed: int = 1,
    sabotage: str | None = None,
) -> dict[str, Any]:
    """Return the figures of one run on an empty database."""
    sandbox = build_sandbox(variation)
    plan = build_plan(variation, share)
    patches = SABOTAGES[sabotage] if sabotage else {}
    started = time.monotonic()
    with deploy(sandbox=sandbox, plan=plan, seed=seed, patches=patches, **SETTINGS) as site:
        visits = send_visitors(site.url, bookings, clients, seed)
        seconds = time.monotonic() - started
        site.service.plan = Plan()
        over = time.time()
        patience = max(QUIET_SECONDS, bookings / LOOKUPS_PER_SECOND)
        workers.wait_until(judge.is_quiet, patience)
        workers.read_appointments(f"http://{site.service.host}:{site.service.port}")
        quiet_after = workers.wait_until(judge.is_quiet, patience)
        first_screens = Counter(visit.screen or "none" for visit in visits)
        untrue = judge.list_untrue_pages(sandbox, [visit for visit in visits if visit.screen == "confirmed"])
        reload_pages(site.url, visits, clients)
        untrue += judge.list_untrue_pages(sandbox, visits)
        found = judge.find_violations(sandbox)
        faults = dict(site.service.counts)
    states = judge.describe_bookings()
    errors = [page for visit in visits for page in visit.pages if page[1] >= 500]
    return {
        "part": "storm",
        "bookings": bookings,
        "variation": variation,
        "seed": seed,
        "sabotage": sabotage,
        "seconds": round(seconds, 1),
        "quiet_after_seconds": round(quiet_after - over, 1) if quiet_after else None,
        "faults": faults,
        "states": states,
        "screens": first_screens,
        "slowest_page_seconds": round(max((visit.slowest for visit in visits), default=0), 1),
        "violations": [
            *(f"{kind}: {text}" for kind, texts in found.items() for text in texts[:10]),
            *(f"untrue page: {text}" for text in untrue[:10]),
            *(f"{status} at {path}" for path, status in sorted(set(errors))[:10]),
            *([] if quiet_after else ["not quiet in time"]),
            *([] if judge.list_active_seats(sandbox) else ["nobody was booked: nothing was shown"]),
            *([] if sum(states.values()) >= MIN_SHARE_SENT * bookings else ["too few found a free time"]),
        ],
    }


SETTINGS: dict[str, Any] = {
    "OUTCOME_DEADLINE": OUTCOME_SECONDS,
    "LEASE": LEASE_SECONDS,
    "TIMEOUT": TIMEOUT_SECONDS,
    "TIMEOUT_BACKGROUND": TIMEOUT_SECONDS,
    # Twice what a run uses. At the limit searches wait, and after five minutes staff look instead.
    "REQUESTS_PER_MINUTE": 4_000,
    "MAX_BOOKINGS_PER_HOUR": 0,
    "MAX_CHANGES_PER_HOUR": 0,
    "MAX_FUTURE_APPOINTMENTS": 1_000_000,
    "MIN_FILL_SECONDS": 0,
}


def build_sandbox(variation: str) -> Sandbox:
    sandbox = Sandbox(rate_limit=False)
    for meeting_type in sandbox.state.meeting_types.values():
        meeting_type.horizon = None
    for user in sandbox.state.users.values():
        user.hours = dict.fromkeys(range(7), OPENING_HOURS) if user.hours else {}
    if variation == "no-references":
        sandbox.settings.hide_answers = True
    if variation == "skewed":
        sandbox.settings.clock_skew = SKEW_SECONDS
        sandbox.settings.hide_answers = True  # then bookings are told apart by when they were made
    return sandbox


def build_plan(variation: str, share: float) -> Plan:
    if variation == "late":
        beyond = (OUTCOME_SECONDS * 0.5, OUTCOME_SECONDS * 2)
        return Plan(share=share, faults=("late", "drop_after", "cut_body"), late_seconds=beyond)
    if variation == "replay":
        return Plan(share=share, faults=("replay", "drop_after", "late"))
    faults = [fault for fault in FAULTS if variation == "plain" or fault != "replay"]
    return Plan(share=share, faults=tuple(faults), hang_seconds=TIMEOUT_SECONDS * 1.5)


def send_visitors(url: str, bookings: int, clients: int, seed: object, *, pause: float = 0) -> list[Visit]:
    """Have so many people book, ``clients`` at a time, each at a random time, with pauses in seconds."""
    visits = [
        build_visit(f"{seed}x{number}", random.Random(f"{seed}.{number}")) for number in range(bookings)
    ]

    def come(number: int) -> None:
        dice = random.Random(f"{seed}.{number}.visit")
        Visitor(url, dice, visits[number]).book(days_ahead=dice.randrange(1, DAYS))
        time.sleep(pause)

    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(come, range(bookings)))
    return visits


def build_visit(number: str, dice: random.Random) -> Visit:
    return Visit(name=f"Jane Doe{number}", email=f"visitor{number}@example.com", slug=dice.choice(SLUGS))


def reload_pages(url: str, visits: list[Visit], clients: int) -> None:
    """Have everybody open the page of their booking once more."""
    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(lambda visit: Visitor(url, random.Random(0), visit).reload(), visits))


#: Each makes the run exit 1; the site applies them at its start.
SABOTAGES: dict[str, dict[str, str]] = {
    "retry-on-timeout": {
        "django_meetergo.services.booking.sending.mark_unknown": "tests.harness.storm_sabotage.send_again"
    },
}
