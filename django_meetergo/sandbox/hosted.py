"""The pages meetergo hosts: booking a meeting type, and the pages that mails link to.

Reading a page changes nothing; every change is a form that is sent by POST.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import groupby
from urllib.parse import urlencode

from django_meetergo.sandbox import bookings, changes, provisional
from django_meetergo.sandbox.booking_requests import choose_hosts, read_booking_request
from django_meetergo.sandbox.clock import parse_instant, print_instant
from django_meetergo.sandbox.documents import COMPANY_SLUG
from django_meetergo.sandbox.errors import Refused
from django_meetergo.sandbox.html import Html, build_hosted_page, post_form, select, tag
from django_meetergo.sandbox.http import Request, Response, error_response, html_response
from django_meetergo.sandbox.records import Appointment, MeetingType, OneTimeLink, Provisional
from django_meetergo.sandbox.service import Service
from django_meetergo.sandbox.state import State
from django_meetergo.sandbox.working_hours import SlotQuery, to_epoch

DAYS_SHOWN = 14
LINK_DAYS = 30
ENDED = {
    "confirmed": "This appointment is confirmed",
    "expired": "This booking request has lapsed",
    "declined_by_host": "This booking request was declined",
}
FIELDS = {
    "firstname": ("First name", "text", "given-name"),
    "lastname": ("Last name", "text", "family-name"),
    "email": ("E-mail address", "email", "email"),
}


def respond(service: Service, request: Request) -> Response | None:
    """Return a hosted page, or None if the path is not one of theirs."""
    name, *rest = request.path.strip("/").split("/")
    if (page := PAGES.get((name, len(rest)))) is None:
        return None
    if request.method not in {"GET", "HEAD", "POST"}:
        return error_response(404, f"Cannot {request.method} {request.path}")
    with service.state.lock:
        provisional.expire_overdue(service.state)
        try:
            return page(service.state, request, *rest)
        except Refused as refusal:
            text = refusal.message if isinstance(refusal.message, str) else "; ".join(refusal.message)
            return _show("That did not work", tag("p", text), status=refusal.status)


def _show(title: str, *content: object, status: int = 200) -> Response:
    return html_response(build_hosted_page(title, *content), status)


def _redirect(path: str) -> Response:
    return Response(303, headers={"Location": path})


def _print_moment(state: State, start: datetime, host_ids: list[str]) -> str:
    zone = state.users[host_ids[0]].zone
    return f"{start.astimezone(zone):%A, %d %B %Y at %H:%M} ({zone.key})"


# Booking


def _show_booking_page(state: State, request: Request, slug: str) -> Response:
    kind = next((one for one in state.meeting_types.values() if one.slug == slug), None)
    if kind is None or not kind.enabled:
        return _show("This page does not exist", status=404)
    return _serve_meeting_type(state, request, kind)


def _show_one_time_page(state: State, request: Request, token: str) -> Response:
    link = state.one_time_links.get(token)
    if link is None:
        return _show("This link does not exist", status=404)
    if link.is_used:
        return _show("This link was already used", tag("p", "It books one appointment only."), status=410)
    if link.created_at + timedelta(days=LINK_DAYS) <= state.now():
        return _show("This link has lapsed", tag("p", f"It was valid for {LINK_DAYS} days."), status=410)
    return _serve_meeting_type(state, request, state.meeting_types[link.meeting_type_id], link)


def _serve_meeting_type(
    state: State, request: Request, kind: MeetingType, link: OneTimeLink | None = None
) -> Response:
    if request.method == "POST":
        return _book(state, request, kind, link)
    if start := parse_instant(request.get("start")):
        return _show_form(state, request, kind, start)
    return _show_times(state, request, kind)


def _list_starts(state: State, kind: MeetingType) -> list[datetime]:
    hosts, queue = choose_hosts(state, kind, [], None)
    now = to_epoch(state.now())
    query = SlotQuery(
        meeting_type=kind,
        duration=kind.duration,
        earliest=now,
        latest=now + DAYS_SHOWN * 86_400,
        host_ids=tuple(hosts),
        needs_all_hosts=queue is not None and queue.method == "everyone",
    )
    spots = bookings.list_spots(state, query)
    return [datetime.fromtimestamp(spot.start, UTC) for spot in spots if (spot.seats_taken or 0) < kind.spots]


def _list_host_ids(state: State, kind: MeetingType) -> list[str]:
    return choose_hosts(state, kind, [], None)[0]


def _show_times(state: State, request: Request, kind: MeetingType) -> Response:
    zone = state.users[_list_host_ids(state, kind)[0]].zone
    local = [start.astimezone(zone) for start in _list_starts(state, kind)]
    days = [
        [
            tag("h2", f"{day:%A, %d %B}"),
            tag("ul", *(_build_time(request, start) for start in starts), class_="times"),
        ]
        for day, starts in groupby(local, key=lambda start: start.date())
    ]
    about = tag("p", f"{kind.description} {kind.duration} minutes. Times are in {zone.key}.", class_="lead")
    return _show(kind.name, about, days or tag("p", "No time is free in the coming two weeks."))


def _build_time(request: Request, start: datetime) -> Html:
    query = urlencode({"start": print_instant(start)})
    return tag("li", tag("a", f"{start:%H:%M}", href=f"{request.path}?{query}", class_="time free"))


def _show_form(
    state: State, request: Request, kind: MeetingType, start: datetime, problem: str = "", status: int = 200
) -> Response:
    given = request.form() if request.method == "POST" else {}
    fields = [
        tag(
            "label",
            label,
            tag("input", name=name, type=type_, autocomplete=complete, required=True, value=given.get(name)),
        )
        for name, (label, type_, complete) in FIELDS.items()
    ]
    when = tag("p", _print_moment(state, start, _list_host_ids(state, kind)), class_="lead")
    form = post_form(
        request.path,
        *fields,
        tag("button", "Book", class_="strong"),
        tag("a", "Choose another time", href=request.path),
        class_="stacked",
        start=print_instant(start),
    )
    message = tag("p", problem, class_="problem", role="alert") if problem else None
    return _show(kind.name, when, message, form, status=status)


def _book(state: State, request: Request, kind: MeetingType, link: OneTimeLink | None) -> Response:
    form = request.form()
    start = parse_instant(form.get("start"))
    if start is None:
        raise Refused(400, "Choose a time first")
    scope = {"queueId": kind.queue_id} if kind.queue_id else {"hostIds": [kind.user_id]}
    attendee = {name: form.get(name) for name in FIELDS} | {"receiveReminders": False, "notes": {}}
    body = {"meetingTypeId": kind.id, "start": print_instant(start), "attendee": attendee, **scope}
    try:
        made = bookings.book(state, read_booking_request(body, state))
    except Refused as refusal:
        text = refusal.message if isinstance(refusal.message, str) else "; ".join(refusal.message)
        return _show_form(state, request, kind, start, text, refusal.status)
    if link is not None:
        link.is_used = True
    if isinstance(made, Provisional):
        return _redirect(f"/waiting/{made.id}")
    return _redirect(_get_appointment_path(made, request_email=form.get("email")))


def _get_appointment_path(appointment: Appointment, *, request_email: str | None = None) -> str:
    """Return the page of an appointment for the attendee of this address who joined last."""
    path = f"/appointment/{appointment.id}/{appointment.secret}"
    joined = [one for one in appointment.attendees if one.email == request_email]
    return f"{path}?attendee={joined[-1].id}" if joined else path


# Confirming


def _get_provisional(state: State, key: str) -> Provisional:
    if (found := state.provisionals.get(key)) is None:
        raise Refused(404, "This booking request does not exist")
    return found


def _describe(state: State, one: Provisional) -> Html:
    when = _print_moment(state, one.request.start, one.host_ids)
    return tag("p", f"{one.request.meeting_type.name}, {when}", class_="lead")


def _show_waiting_page(state: State, _: Request, key: str) -> Response:
    one = _get_provisional(state, key)
    if one.status != "pending":
        return _show(ENDED[one.status], _describe(state, one))
    who = "you have" if one.type == "doubleOptIn" else "the practice has"
    text = tag("p", f"The time is held until {who} confirmed it, by the link in a mail.")
    return _show("One more step", _describe(state, one), text, tag("p", _build_mailbox_link()))


def _build_mailbox_link() -> Html:
    return tag("a", "Open the sandbox's mailbox", href="/#mailbox")


def _show_confirm_page(state: State, request: Request, key: str) -> Response:
    """Let the attendee confirm."""
    one = _get_provisional(state, key)
    if request.method == "POST":
        made = bookings.confirm(state, key)
        return _redirect(_get_appointment_path(made, request_email=one.request.attendee.email))
    if one.status != "pending":
        return _show(ENDED[one.status], _describe(state, one))
    button = tag("button", "Confirm the appointment", class_="strong")
    return _show("Confirm your appointment", _describe(state, one), post_form(request.path, button))


def _show_decide_page(state: State, request: Request, key: str) -> Response:
    """Let the host approve or decline."""
    one = _get_provisional(state, key)
    if request.method == "POST":
        if request.form().get("decision") == "decline":
            provisional.decline(state, key)
        else:
            bookings.approve(state, key)
        return _redirect(f"/waiting/{key}")
    if one.status != "pending" or one.type != "requireHostConfirmation":
        return _show(ENDED.get(one.status, "You have approved this request"), _describe(state, one))
    buttons = [
        tag("button", "Approve", name="decision", value="approve", class_="strong"),
        tag("button", "Decline", name="decision", value="decline", class_="quiet danger"),
    ]
    who = tag("p", f"{one.request.attendee.fullname or ''} {one.request.attendee.email or ''}".strip())
    form = post_form(request.path, tag("div", *buttons, class_="buttons"))
    return _show("Approve or decline", _describe(state, one), who, form)


# Changing


def _show_appointment_page(state: State, request: Request, key: str, secret: str) -> Response:
    """Let an attendee move or cancel."""
    one = state.appointments.get(key)
    if one is None or one.secret != secret:
        raise Refused(404, "This appointment does not exist")
    target = f"{request.path}?{request.environ.get('QUERY_STRING') or ''}".removesuffix("?")
    if request.method == "POST":
        _change_appointment(state, request, one)
        return _redirect(target.replace(secret, one.secret))
    kind = state.meeting_types[one.meeting_type_id]
    when = tag("p", f"{kind.name}, {_print_moment(state, one.start, one.host_ids)}", class_="lead")
    attendee_id = request.get("attendee")
    if one.is_cancelled or (attendee_id and attendee_id not in [each.id for each in one.attendees]):
        return _show("This appointment was cancelled", when)
    if one.start <= state.now():
        return _show("This appointment is over", when)
    return _show("Your appointment is booked", when, *_build_changes(state, target, one))


def _build_changes(state: State, target: str, one: Appointment) -> list[Html]:
    cancel = post_form(
        target, tag("button", "Cancel the appointment", class_="quiet danger"), action="cancel"
    )
    zone = state.users[one.host_ids[0]].zone
    starts = {
        print_instant(start): f"{start.astimezone(zone):%A, %d %B at %H:%M}"
        for start in changes.list_other_starts(state, one)
    }
    if not starts or len(one.attendees) > 1:
        return [cancel]
    move = post_form(
        target,
        select("start", "Another time", starts),
        tag("button", "Move the appointment", class_="strong"),
        class_="stacked",
        action="move",
    )
    return [move, cancel]


def _change_appointment(state: State, request: Request, one: Appointment) -> None:
    form, attendee_id = request.form(), request.get("attendee")
    if form.get("action") == "cancel":
        changes.cancel(state, one, source="attendee", by=None, attendee_id=attendee_id)
        return
    start = parse_instant(form.get("start"))
    if start is None:
        raise Refused(400, "Choose a time first")
    if len(one.attendees) > 1:
        raise Refused(400, "Others come to this appointment, too: only its host can move it")
    changes.move(state, one, start)


#: By the first part of the path and the number of the parts that follow.
PAGES: dict[tuple[str, int], Callable[..., Response]] = {
    (COMPANY_SLUG, 1): _show_booking_page,
    ("1t", 1): _show_one_time_page,
    ("waiting", 1): _show_waiting_page,
    ("confirm", 1): _show_confirm_page,
    ("decide", 1): _show_decide_page,
    ("appointment", 2): _show_appointment_page,
}
