"""Make ``docs/images``: the example site with the sandbox, photographed in Chromium.

    python docs/pictures.py

Needs Chromium, and Bootstrap in ``tests/browser/frameworks/node_modules``, where ``tox run -e pictures``
installs it.
"""

from __future__ import annotations

import io
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"
BOOTSTRAP = ROOT / "tests" / "browser" / "frameworks" / "node_modules" / "bootstrap" / "dist" / "css"
CHROMIUM = "/usr/bin/chromium"
DESKTOP, PHONE = (1180, 800), (390, 780)
COLORS = 128
PEOPLE = """
Ada Byron, Alan Turing, Annie Easley, Barbara Liskov, Dennis Ritchie, Edsger Dijkstra, Frances Allen,
Grace Hopper, Hedy Lamarr, Ida Rhodes, Jean Bartik, Joan Clarke, John Backus, Karen Jones, Ken Thompson,
Konrad Zuse, Mary Keller, Edith Clarke, Radia Perlman, Ruth Teitelbaum, Sophie Wilson, Tony Hoare
"""
BOOTSTRAP_PAGE = """
<nav class="navbar bg-primary navbar-dark"><div class="container">
<span class="navbar-brand">A Bootstrap site</span></div></nav>
<main class="container py-4"><div class="row">
<div class="col-lg-8"><h1 class="mb-3">Physiotherapy</h1>WIDGET</div>
<aside class="col-lg-4"><div class="card"><div class="card-body"><h2 class="h5 card-title">Opening hours</h2>
<p class="card-text">Monday to Friday, 9 to 17.</p><a class="btn btn-outline-primary" href="#">Directions</a>
</div></div></aside></div></main>
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DATABASE_URL"] = f"sqlite:///{folder}/site.sqlite3"
        os.environ["DJANGO_SETTINGS_MODULE"] = "clinic.settings"
        # Playwright runs an event loop in this thread.
        os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
        sys.path[:0] = [str(ROOT / "example_project"), str(ROOT)]
        import django

        django.setup()
        with serve() as (site, sandbox):
            fill(site, sandbox)
            photograph(site, sandbox)


@contextmanager
def serve() -> Iterator[tuple[str, str]]:
    """Serve the example site and a sandbox. Yield their addresses."""
    from clinic.demo import servers
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    with servers.run_sandbox(servers.ANY) as sandbox, servers.serve_site(servers.ANY) as site:
        yield site, sandbox


def fill(site: str, sandbox: str) -> None:
    """Book appointments of this and the next week, and create a user for the admin."""
    from clinic.management.commands.demo import connect
    from django.contrib.auth import get_user_model
    from django.utils import timezone

    from django_meetergo.services import AttendeeData, book_appointment, list_slots

    connect(site, sandbox)
    get_user_model()._default_manager.create_superuser("demo", password="demo")  # noqa: S106
    now = timezone.now()
    kinds = ("intro-call", "consultation", "next-therapist")
    for number, name in enumerate(" ".join(PEOPLE.split()).split(", ")):
        slug = kinds[number % len(kinds)]
        found = list_slots(meeting_type=slug, start=now, end=now + timedelta(days=9))
        first, _, last = name.partition(" ")
        book_appointment(
            meeting_type=slug,
            start=found.times[(number * 17) % len(found.times)].start,
            attendee=AttendeeData(email=f"{last.lower()}@example.com", first_name=first, last_name=last),
            custom_fields={"topic": "plan"} if slug == "consultation" else None,
        )


def photograph(site: str, sandbox: str) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for scheme in ("light", "dark"):
            with open_page(browser, site, DESKTOP, scheme) as page:
                save(show_month(page), f"booking-{scheme}")
                book(page)
                save(page, f"outcome-{scheme}")
            with open_page(browser, site, PHONE, scheme) as page:
                save(show_month(page), f"booking-phone-{scheme}")
            with open_page(browser, site, DESKTOP, scheme) as page:
                show_in_bootstrap(page, scheme)
                save(page, f"bootstrap-{scheme}")
        with open_page(browser, site, (1280, 820), "light") as page:
            show_calendar(page)
            save(page, "admin-calendar")
        with open_page(browser, sandbox, (1180, 820), "light") as page:
            page.goto("/")
            save(page, "sandbox")
        browser.close()


@contextmanager
def open_page(browser: Any, url: str, size: tuple[int, int], scheme: str) -> Iterator[Any]:
    context = browser.new_context(
        base_url=url,
        viewport={"width": size[0], "height": size[1]},
        device_scale_factor=1.5,
        color_scheme=scheme,
        locale="en-GB",
        timezone_id="Europe/Berlin",
        bypass_csp=True,
    )
    yield context.new_page()
    context.close()


def localdate() -> date:
    from django.utils import timezone

    return timezone.localdate()


def show_month(page: Any) -> Any:
    """Open the booking page of a type in the next month, which has many free times, and choose one."""
    month = localdate().replace(day=1) + timedelta(days=32)
    page.goto(f"/book/consultation/?month={month:%Y-%m}")
    page.wait_for_load_state("networkidle")
    page.locator(".mg-slots label").nth(2).click()
    return page


def book(page: Any) -> None:
    page.locator(".mg-bar button").click()
    for label, value in (
        ("First name", "Jane"),
        ("Last name", "Doe"),
        ("E-mail address", "jane@example.com"),
    ):
        page.get_by_label(label, exact=True).fill(value)
    page.get_by_label("A plan for the coming weeks").check()
    for radio in ("channel", "location"):
        choices = page.locator(f"input[type=radio][name={radio}]")
        if choices.count():
            choices.last.check(force=True)
    page.get_by_label("I have read the").check()
    page.wait_for_timeout(2200)  # a form that is sent sooner counts as sent by a program
    page.get_by_role("button", name="Book this time").click()
    page.get_by_role("heading", name="Your appointment is booked").wait_for()
    page.wait_for_timeout(3000)  # the link to join arrives with the read that follows


def show_in_bootstrap(page: Any, scheme: str) -> None:
    """Put the widget of the example site into a page with Bootstrap's stylesheet."""
    page.goto("/treatments/intro-call/")
    page.wait_for_load_state("networkidle")
    page.evaluate(
        """([body, scheme]) => {
            document.querySelector("link[href*='clinic.css']").remove();
            document.documentElement.dataset.bsTheme = scheme;
            const widget = document.querySelector(".widget").innerHTML;
            document.body.innerHTML = body.replace("WIDGET", widget);
        }""",
        [BOOTSTRAP_PAGE, scheme],
    )
    page.add_style_tag(path=str(BOOTSTRAP / "bootstrap.min.css"))
    page.wait_for_timeout(500)


def show_calendar(page: Any) -> None:
    page.goto("/admin/login/")
    page.locator("[name=username]").fill("demo")
    page.locator("[name=password]").fill("demo")
    page.locator("[type=submit]").click()
    page.goto(f"/admin/meetergo/appointment/calendar/?view=week&date={localdate() + timedelta(days=5)}")
    page.wait_for_load_state("networkidle")


def save(page: Any, name: str) -> None:
    """Store the visible part of the page, with few colours to keep it small."""
    from PIL import Image

    page.evaluate("document.activeElement && document.activeElement.blur()")
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    path = IMAGES / f"{name}.png"
    picture.quantize(COLORS, dither=Image.Dither.NONE).save(path, optimize=True)
    sys.stdout.write(f"{path.relative_to(ROOT)}  {path.stat().st_size // 1024} KiB\n")


if __name__ == "__main__":
    main()
