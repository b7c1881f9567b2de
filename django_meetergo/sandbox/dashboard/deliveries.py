"""The webhook deliveries, and everything that can go wrong with them."""

from __future__ import annotations

from django_meetergo.sandbox.dashboard.parts import (
    build_action,
    build_badge,
    build_empty,
    build_panel,
    print_clock_time,
)
from django_meetergo.sandbox.deliveries import Delivery, hide_path
from django_meetergo.sandbox.html import Html, post_button, tag
from django_meetergo.sandbox.service import Service

MAX_SHOWN = 20


def build_deliveries(service: Service) -> Html:
    """Return the panel."""
    deliveries = service.deliveries
    pending, history = deliveries.list_pending(), deliveries.list_history()
    rows = [_build_pending(one) for one in pending[:MAX_SHOWN]]
    rows += [_build_sent(service, one) for one in history[:MAX_SHOWN]]
    content = tag("ul", *rows, class_="rows") if rows else _build_nothing(service)
    return build_panel(
        "deliveries", "Deliveries", _build_switches(service), content, count=len(pending) + len(history)
    )


def _build_nothing(service: Service) -> Html:
    if not service.state.webhooks:
        command = tag("code", "manage.py meetergo_webhooks ensure")
        return tag("p", "No endpoint is registered. Run ", command, ".", class_="empty")
    return build_empty("Nothing was sent yet.")


def _build_switches(service: Service) -> Html:
    settings = service.deliveries.settings
    path = build_action("deliveries", "deliveries")
    hold = ("Send what is held", "release") if settings.hold else ("Hold back", "hold")
    buttons = [post_button(path, hold[0], action=hold[1])]
    if settings.hold:
        buttons.append(post_button(path, "Change their order", action="shuffle"))
    if settings.drop:
        buttons.append(post_button(path, "Drop nothing more", action="drop", count=0))
    else:
        buttons.append(post_button(path, "Drop the next one", action="drop", count=1))
        buttons.append(post_button(path, "Drop every one", action="drop", count=-1))
    copies = ("Send each once", 1) if settings.duplicate > 1 else ("Send each twice", 2)
    buttons.append(post_button(path, copies[0], action="duplicate", count=copies[1]))
    buttons.append(post_button(path, "Send all again in the wrong order", action="replay", shuffled=1))
    return tag("div", *buttons, class_="buttons")


def _build_pending(one: Delivery) -> Html:
    path = build_action(f"deliveries/{one.id}/drop", "deliveries")
    drop = post_button(path, "Drop it", detail=f"delivery {one.id}")
    return _build_row(one, build_badge("waits", "wait"), "", [drop])


def _build_sent(service: Service, one: Delivery) -> Html:
    text = f"answer {one.result}" if one.result.isdigit() else one.result
    badge = build_badge(text, "good" if one.result.startswith("2") else "bad")
    path = build_action(f"deliveries/{one.id}/send", "deliveries")
    detail = f"delivery {one.id}"
    buttons = [
        post_button(path, "Send again", detail=detail),
        post_button(path, "Send twice", detail=detail, count=2),
    ]
    return _build_row(one, badge, print_clock_time(service.state, one.at), buttons)


def _build_row(one: Delivery, badge: Html, at: str, buttons: list[Html]) -> Html:
    attempt = f", attempt {one.attempt}" if one.attempt > 1 else ""
    about = f" · appointment {one.appointment_id[:8]}" if one.appointment_id else ""
    return tag(
        "li",
        tag(
            "div",
            tag("p", tag("strong", one.event), " ", badge),
            tag("p", f"{at} to {hide_path(one.endpoint)}{attempt}{about}".strip(), class_="muted"),
            class_="facts",
        ),
        tag("div", *buttons, class_="buttons"),
        class_="row",
    )
