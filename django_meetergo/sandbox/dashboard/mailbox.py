"""The mails the service would send, with links that work."""

from __future__ import annotations

from django_meetergo.sandbox.dashboard.parts import (
    build_empty,
    build_panel,
    print_clock_time,
    print_day_time,
)
from django_meetergo.sandbox.html import Html, hidden_text, tag
from django_meetergo.sandbox.mails import Mail
from django_meetergo.sandbox.service import Service
from django_meetergo.sandbox.state import State

MAX_SHOWN = 20


def build_mailbox(service: Service) -> Html:
    """Return the panel."""
    mails = service.state.mailbox.mails
    rows = [_build_mail(service.state, mail) for mail in reversed(mails[-MAX_SHOWN:])]
    content = tag("ul", *rows, class_="rows") if rows else build_empty("No mail was sent yet.")
    return build_panel("mailbox", "Mailbox", content, count=len(mails))


def _build_mail(state: State, mail: Mail) -> Html:
    link = tag("a", mail.link, hidden_text(f" in the mail to {mail.to}"), href=mail.path, class_="strong")
    return tag(
        "li",
        tag(
            "div",
            tag("p", tag("strong", mail.subject)),
            tag("p", f"{mail.about}, {print_day_time(state, mail.start)}. {mail.text}"),
            tag("p", f"To {mail.to} at {print_clock_time(state, mail.sent_at)}", class_="muted"),
            class_="facts",
        ),
        tag("div", link, class_="buttons") if mail.path else None,
        class_="row",
    )
