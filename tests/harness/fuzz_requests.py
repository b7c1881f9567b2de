"""Requests that a site must refuse or survive, drawn from a random generator."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

from django.urls import reverse

from tests.harness import mutations

TOKEN = "a-webhook-token-that-only-the-fuzzer-knows"
SLUG = "intro-call"
JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=x"
API = "/api/meetergo"
CSRF_TOKEN = "c" * 32


@dataclass(frozen=True, kw_only=True)
class Target:
    """What an attacker may know: valid links by purpose, free times and ids of appointments."""

    tokens: Mapping[str, str]
    starts: list[str]
    appointment_ids: list[str]


@dataclass(frozen=True, kw_only=True)
class Request:
    """One HTTP request; ``is_forged`` says that it claims a right that its sender does not have."""

    method: str
    path: str
    query: str = ""
    body: bytes = b""
    content_type: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    is_forged: bool = False

    def build_environ(self) -> dict[str, Any]:
        return {
            "REQUEST_METHOD": self.method,
            "PATH_INFO": self.path.encode("utf-8", "surrogatepass").decode("latin-1"),
            "QUERY_STRING": self.query.encode("utf-8", "surrogatepass").decode("latin-1"),
            "CONTENT_TYPE": self.content_type,
            "CONTENT_LENGTH": str(len(self.body)),
            "SERVER_NAME": "testserver",
            "SERVER_PORT": "443",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "127.0.0.1",
            "SCRIPT_NAME": "",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "https",
            "wsgi.input": io.BytesIO(self.body),
            "wsgi.errors": io.StringIO(),
            "wsgi.multithread": False,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
            **{f"HTTP_{name}": text for name, text in self.headers.items()},
        }


def make_link(target: Target, dice: random.Random) -> Request:
    """Open or use a link that was changed, cut, or signed for another purpose."""
    purpose, token = dice.choice(sorted(target.tokens.items()))
    routes = [name for name in LINK_ROUTES if dice.random() < 0.3] or ["meetergo:manage"]
    route = dice.choice(routes)
    if LINK_ROUTES[route] == purpose or dice.random() < 0.7:
        forged = forge_token(token, dice)
    else:
        forged = token  # a valid one, for another purpose
    body = {"reason": "", "start": dice.choice(target.starts), "chosen": "1"}
    path = reverse(route, args=["TOKEN"]).replace("TOKEN", forged)
    method = dice.choice(("GET", "GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS"))
    # An answer to OPTIONS, or to a path that is none of a link any more, accepts nothing.
    is_link = "/" not in forged and method != "OPTIONS" and forged.strip("/.") != ""
    return Request(
        method=method,
        path=path,
        body=urlencode(body).encode() if method == "POST" else b"",
        content_type=FORM if method == "POST" else "",
        is_forged=is_link,
    )


def forge_token(token: str, dice: random.Random) -> str:
    """Return a token that is not the given one."""
    public_id, _, signature = token.partition("~")
    forged = token
    while forged == token:
        match dice.randrange(5):
            case 0:
                forged = f"{public_id}~{mutations.change_text(signature, dice)}"
            case 1:
                forged = f"{mutations.change_text(public_id, dice)}~{signature}"
            case 2:
                forged = f"{dice.getrandbits(128):032x}~{signature}"
            case 3:
                forged = f"{public_id}~{signature[:-1]}{dice.choice('AEIMQUYcgkosw048')}"
            case _:
                forged = mutations.change_text(token, dice)
    return forged


def make_webhook(target: Target, dice: random.Random) -> Request:
    """Deliver a changed document, or to a changed address."""
    appointment_id = dice.choice(target.appointment_ids)
    document = {
        "webhookType": dice.choice(("booking_created", "booking_cancelled", "booking_rescheduled")),
        "id": appointment_id, "start": "2026-12-01T10:00:00Z", "appointmentStatus": "cancelled",
        "attendees": [{"email": "mallory@example.com", "firstname": "Mallory"}],
        "data": {"id": appointment_id, "cancelled": True},
    }  # fmt: skip
    is_forged = dice.random() < 0.3
    token = forge_token(TOKEN, dice) if is_forged else TOKEN
    body = json.dumps(mutations.change_document(document, dice, times=dice.randrange(4))).encode()
    if dice.random() < 0.3:
        body = mutations.change_bytes(body, dice)
    return Request(
        method="POST" if dice.random() < 0.9 else dice.choice(("GET", "PUT", "HEAD")),
        path=f"/book/webhooks/{token}/",
        body=body,
        content_type=dice.choice((*[JSON] * 9, "text/plain", "", "application/json; x=\x00")),
        is_forged=is_forged and "/" not in token and token.strip("/.") != "",
    )


def make_page(target: Target, dice: random.Random) -> Request:
    """Open a page with changed parameters, or send a form that is wrong in one field at least."""
    names = (
        "start", "tz", "month", "date", "duration", "chosen", "subject", "token", "first_name", "last_name",
        "email", "phone", "company", "channel", "location", "other_emails", "defer", "rebook", "next", "q",
        "timezone", "language", "website", "fragment", "page", "sent", "reason",
    )  # fmt: skip
    given = {
        "start": dice.choice(target.starts),
        "first_name": "Jane",
        "last_name": "Doe",
        "email": "not valid",
    }
    for name in dice.sample(names, dice.randrange(1, 6)):
        given[name] = mutations.change_text(str(given.get(name, "")), dice)
    given["email"] = given["email"].replace("@", " ")  # so that nothing can be booked
    invented = quote(mutations.choose_text(dice), safe="", errors="replace")[:200]
    manage, booking, feed = (target.tokens[purpose] for purpose in ("manage", "booking", "feed"))
    strange = (f"/book/{invented}/", f"/book/{SLUG}/details/{mutations.choose_text(dice)[:40]}")
    path = dice.choice(
        ("/book/", f"/book/{SLUG}/", f"/book/{SLUG}/details/", "/book/group-class/", "/book/timezone/",
         "/book/my-appointments/", f"/book/manage/{manage}/", f"/book/manage/{manage}/reschedule/",
         f"/book/booking/{booking}/", f"/book/feed/{feed}.ics", *strange)
    )  # fmt: skip
    query = urlencode(given, errors="replace") if dice.random() < 0.9 else mutations.choose_text(dice)
    headers = choose_headers({"ACCEPT_LANGUAGE": "de, en;q=0.5", "COOKIE": "a=b", "HX_REQUEST": "true"}, dice)
    if dice.random() < 0.5 and "/reschedule/" not in path:
        # A form of this site's own page, so that it is not refused for lack of a CSRF token.
        query += f"&csrfmiddlewaretoken={CSRF_TOKEN}"
        own = {"COOKIE": f"csrftoken={CSRF_TOKEN}", "ORIGIN": "https://testserver"}
        return Request(
            method="POST", path=path, body=query.encode("utf-8", "replace"), headers={**headers, **own},
            # Django's own CSRF middleware raises within its error pages for other charsets, and where no
            # page is for a body that is not multipart.
            content_type=FORM if path in strange else dice.choice((FORM, FORM, MULTIPART)),
        )  # fmt: skip
    return Request(method=dice.choice(("GET", "GET", "HEAD")), path=path, query=query, headers=headers)


def make_api_call(target: Target, dice: random.Random) -> Request:
    """Call the REST API with a changed body, query or address."""
    manage, booking = target.tokens["manage"], target.tokens["booking"]
    document = {
        "meeting_type": SLUG, "start": dice.choice(target.starts), "first_name": "Jane", "last_name": "Doe",
        "email": "jane@example.com", "answers": {"a": "b"}, "timezone": "Europe/Berlin", "reason": "x",
        "other_emails": ["joe@example.com"], "duration": 30,
    }  # fmt: skip
    changed = mutations.change_document(document, dice, times=dice.randrange(1, 5))
    if isinstance(changed, dict):
        changed["email"] = dice.choice(mutations.VALUES[:12])  # so that nothing can be booked
        changed["start"] = mutations.choose_text(dice)  # or moved
    body = json.dumps(changed).encode()
    if dice.random() < 0.2:
        body = mutations.change_bytes(body, dice)
    invented = quote(mutations.choose_text(dice), errors="replace")[:99]
    posts = (
        f"{API}/bookings/",
        f"{API}/manage/{manage}/reschedule/",
        f"{API}/appointments/{dice.random()}/cancel/",
    )
    gets = (
        f"{API}/meeting-types/", f"{API}/meeting-types/{SLUG}/",
        f"{API}/meeting-types/{SLUG}/availability/",
        f"{API}/bookings/{booking}/", f"{API}/manage/{manage}/", f"{API}/manage/{manage}/availability/",
        f"{API}/appointments/", f"{API}/meeting-types/{invented}/",
    )  # fmt: skip
    known = {
        "ACCEPT": JSON, "AUTHORIZATION": "Bearer x", "IDEMPOTENCY_KEY": "a-key", "ACCEPT_LANGUAGE": "de",
    }  # fmt: skip
    headers = choose_headers(known, dice)
    if dice.random() < 0.6:
        return Request(
            method=dice.choice(("POST", "POST", "POST", "PUT")),
            path=dice.choice(posts),
            body=body,
            headers=headers,
            content_type=dice.choice((JSON, JSON, JSON, JSON, "text/xml", "multipart/form-data", "")),
        )
    names = ("start", "end", "timezone", "duration", "page_size", "cursor", "status", "ordering")
    chosen = {
        name: mutations.change_text("2026-12-01", dice) for name in dice.sample(names, dice.randrange(4))
    }
    return Request(
        method="GET", path=dice.choice(gets), query=urlencode(chosen, errors="replace"), headers=headers
    )


def choose_headers(known: Mapping[str, str], dice: random.Random) -> dict[str, str]:
    """Return some of these headers, changed, as a server passes them on."""
    chosen = dice.sample(sorted(known), dice.randrange(len(known)))
    texts = {name: mutations.change_text(known[name], dice) for name in chosen}
    return {
        name: text.encode("utf-8", "replace").decode("latin-1").replace("\n", "")
        for name, text in texts.items()
    }


#: Each kind of input with how often it is drawn.
KINDS: dict[str, tuple[int, Callable[[Target, random.Random], Request]]] = {
    "links": (35, make_link),
    "webhooks": (35, make_webhook),
    "pages": (15, make_page),
    "rest": (15, make_api_call),
}
#: URL names that a link opens, with the purpose that its token is signed for.
LINK_ROUTES = {
    "meetergo:outcome": "booking", "meetergo:manage": "manage", "meetergo:reschedule": "manage",
    "meetergo:cancel": "manage", "meetergo:ics": "manage", "meetergo:feed": "feed",
    "meetergo_rest:booking": "booking", "meetergo_rest:booking_check": "booking",
    "meetergo_rest:manage": "manage", "meetergo_rest:manage_check": "manage",
    "meetergo_rest:manage_cancel": "manage", "meetergo_rest:manage_reschedule": "manage",
    "meetergo_rest:manage_times": "manage",
}  # fmt: skip
