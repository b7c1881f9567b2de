"""Every route of the sandbox against the recorded contract: served, checked, and shaped as recorded."""

import json
from http.client import HTTPConnection

import pytest

from django_meetergo.sandbox import seed
from django_meetergo.sandbox.routes import ROUTES
from tests.recordings import PAYLOADS
from tests.sandbox.contract import list_paths, load_contract

AT = "2026-10-06T09:00:00+02:00"
CONTRACT = load_contract().document
#: Documented in ``meetergo-api.md`` §6.3 and §5.6, and in no recording.
UNRECORDED = {".attendees[].customFields", ".rescheduleCount"}
USER_HEADER = "x-meetergo-api-user-id"


def normalize(template):
    """A template without parameter names and trailing slash."""
    return "/".join("{}" if part.startswith("{") else part for part in template.strip("/").split("/"))


def list_operations():
    return [
        (method.upper(), template, operation)
        for template, operations in CONTRACT["paths"].items()
        for method, operation in operations.items()
        if method in {"get", "post", "patch", "delete"}
    ]


def resolve(schema):
    while "$ref" in schema:
        schema = CONTRACT["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


def list_choices():
    """Each query parameter with a closed list of values."""
    for method, template, operation in list_operations():
        for parameter in operation.get("parameters", []):
            schema = resolve(parameter.get("schema", {}))
            if parameter.get("in") == "query" and ("enum" in schema or schema.get("type") == "boolean"):
                yield pytest.param(method, template, parameter["name"], id=f"{template} {parameter['name']}")


def read_recording(name):
    return json.loads((PAYLOADS / f"{name}.json").read_text(encoding="utf-8"))


def test_every_core_and_legacy_route_of_the_contract_is_served():
    """And the sandbox serves no route that the contract does not have."""
    documented = {
        (method, normalize(template)): operation["x-tier"]
        for method, template, operation in list_operations()
    }
    served = {(route.method, normalize(route.template)) for route in ROUTES}

    assert {route for route, tier in documented.items() if tier != "extended"} <= served
    assert served <= set(documented)


@pytest.mark.parametrize(("method", "template", "name"), list(list_choices()))
def test_undocumented_values_of_a_closed_list_are_refused(call, method, template, name):
    """Whatever route: the status is 400 and the message names the parameter."""
    query = {
        "meetingTypeId": seed.INTRO_CALL,
        "hostIds": seed.ANNA,
        "start": "2026-10-06",
        "end": "2026-10-07",
        name: "unheard_of",
    }
    if template == "/v4/provisional-booking/paginated":
        query.pop("meetingTypeId")
    reply = call(method, template, query=query)

    assert reply.status == 400
    assert name in reply.document["message"][0]


@pytest.mark.parametrize(
    "wrong",
    [
        {"paymentProvider": "cash"},
        {"channel": "carrier pigeon"},
        {"duration": "30"},
        {"location": 4},
        {"bookingPassword": ["a"]},
        {"skipNotifications": "yes"},
        {"ignoreAvailability": "true"},
        {"resourceChannelIds": "a"},
        {"icsTitle": "x" * 201},
        {"attendee": {"email": "a@example.com", "timezone": 1}},
        {"attendee": {"email": "a@example.com", "phone": 49}},
        {"attendee": {"email": "a@example.com", "dataPolicyAccepted": "yes"}},
    ],
    ids=str,
)
def test_a_booking_with_a_value_of_another_type_is_refused(call, wrong):
    """The message names the field, and nothing is booked."""
    body = {"meetingTypeId": seed.INTRO_CALL, "start": AT, "hostIds": [seed.ANNA]}
    reply = call("POST", "/v4/booking", {**body, "attendee": {"email": "jane@example.com"}, **wrong})

    assert reply.status == 400
    assert next(iter(wrong)) in str(reply.document["message"])
    assert AT.replace("+", ".000+") in call.free(seed.INTRO_CALL)


def test_documents_have_only_recorded_keys(call):
    """Each document of the sandbox has keys that a recording of the service has."""
    booked = call.book(seed.INTRO_CALL, AT).document
    call.book(seed.CHECKUP, AT)
    grouped = call.book(seed.GROUP_CLASS, AT.replace("09", "11")).document["appointmentId"]
    appointment = f"/v4/appointment/{booked['appointmentId']}"
    page = {"page": 0, "pageSize": 20, "companyWide": "true"}
    responses = {
        ("booking_confirmed",): booked,
        ("one_time_booking_link",): call(
            "POST", f"/v4/one-time-booking-link/create/{seed.INTRO_CALL}"
        ).document,
        ("provisional_bookings_paginated",): call(
            "GET", "/v4/provisional-booking/paginated", query=page
        ).document,
        ("queue",): call("GET", f"/v4/queue/{seed.QUEUE}").document,
        ("queue_next",): call("GET", f"/v4/queue/{seed.QUEUE}/next").document,
        ("user_me", "users_list"): call("GET", "/v4/user/me").document,
        ("meeting_type", "meeting_type_group", "meeting_type_queue"): call(
            "GET", f"/v4/meeting-type/{seed.NEXT_THERAPIST}"
        ).document,
        ("data_fields",): call("GET", "/v4/data-field").document,
        ("webhook",): call(
            "POST", "/webhooks", {"endpoint": "https://a.example/", "eventTypes": ["booking_created"]}
        ).document,
        ("appointment", "appointment_seed", "appointment_cancelled"): call("GET", appointment).document,
        ("appointment_group", "appointment", "appointment_seed"): call(
            "GET", f"/v4/appointment/{grouped}"
        ).document,
        ("error_404_not_found",): call("GET", "/v4/appointment/unknown").document,
    }

    unknown = {
        names[0]: sorted(list_paths(document) - set().union(*(list_paths(read_recording(n)) for n in names)))
        for names, document in responses.items()
    }
    assert {name: keys for name, keys in unknown.items() if set(keys) - UNRECORDED} == {}


def test_one_time_links_have_an_address_of_their_own(call):
    """The address names no host and no meeting type, and no two are the same."""
    path = f"/v4/one-time-booking-link/create/{seed.INTRO_CALL}"
    first, second = (call("POST", path).document["url"] for _ in range(2))

    assert first.startswith("https://cal.meetergo.com/1t/")
    assert first != second


@pytest.mark.parametrize("path", ["/", "/_sandbox/state", "/v4/user/me", "/webhooks", "/booking/cancel/x"])
@pytest.mark.parametrize(
    "host",
    [
        "rebound.example",
        "testserver",
        "127.0.0.1.rebound.example",
        "localhost@rebound.example",
        "rebound.example:80@localhost:80",
        "rebound.example, localhost",
        "0.0.0.0",
        "",
    ],
)
def test_only_local_hosts_are_answered(server, path, host):
    """A page that rebinds its name to 127.0.0.1 reads nothing, whatever token it sends."""
    connection = HTTPConnection("127.0.0.1", server.port, timeout=5)
    connection.putrequest("GET", path, skip_host=True)
    connection.putheader("Host", host)
    connection.putheader("Authorization", f"Bearer {seed.ADMIN_TOKEN}")
    connection.endheaders()
    response = connection.getresponse()
    document = json.loads(response.read())
    connection.close()

    assert (response.status, document["error"]) == (403, "Forbidden")


def test_pages_of_other_sites_are_refused(call):
    """Also where no credential is needed, and for sandboxed frames, whose origin is ``null``."""
    for origin in ("https://other.example", "null"):
        reply = call("POST", "/booking/confirm/reschedule", {}, headers={"Origin": origin}, token=None)
        assert reply.status == 403


@pytest.mark.parametrize(
    "endpoint", ["https://", "https:///hook", "https://:443/", "https://[::1/", "ftp://a", 7]
)
def test_webhook_endpoints_need_a_host(call, endpoint):
    """On registration and on a change."""
    body = {"endpoint": endpoint, "eventTypes": ["booking_created"]}
    assert call("POST", "/webhooks", body).status == 400
    made = call("POST", "/webhooks", {**body, "endpoint": "https://app.example/"}).document["id"]
    assert call("PATCH", f"/webhooks/{made}", {"endpoint": endpoint}).status == 400


@pytest.mark.parametrize("user", [seed.OWNER, seed.BEN])
def test_a_personal_token_never_comes_with_a_user(call, user):
    """Also not with its own: the header belongs to platform keys."""
    reply = call("GET", "/v4/user/me", headers={USER_HEADER: user})
    assert (reply.status, reply.document["message"]) == (403, "Forbidden resource")


@pytest.mark.parametrize("method", ["TRACE", "OPTIONS", "PUT", "BREW"])
def test_other_methods_get_json(server, method):
    """As every other request does; so does a body without a length."""
    connection = HTTPConnection("127.0.0.1", server.port, timeout=5)
    connection.request(method, "/v4/user/me")
    response = connection.getresponse()
    document = json.loads(response.read())
    connection.close()

    assert response.status == document["statusCode"] >= 400
    assert response.getheader("Content-Type").startswith("application/json")


def test_head_answers_like_get_without_a_body(server):
    """As the service's framework does."""
    connection = HTTPConnection("127.0.0.1", server.port, timeout=5)
    connection.request("HEAD", "/v4/user/me", headers={"Authorization": f"Bearer {seed.ADMIN_TOKEN}"})
    response = connection.getresponse()

    assert (response.status, response.read()) == (200, b"")
    connection.close()
