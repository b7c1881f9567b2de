"""Booking, and provisional bookings."""

from __future__ import annotations

from datetime import timedelta

from django_meetergo.sandbox import bookings, documents, provisional
from django_meetergo.sandbox.booking_requests import read_booking_request
from django_meetergo.sandbox.errors import Refused
from django_meetergo.sandbox.http import Response, json_response
from django_meetergo.sandbox.records import Provisional
from django_meetergo.sandbox.routing import Call, read_choice, read_page, read_text

PROVISIONAL_STATUSES = ("pending", "confirmed", "expired", "declined_by_host")


def create_booking(call: Call) -> Response:
    request = read_booking_request(call.request.json(), call.state)
    made = bookings.book(call.state, request)
    if isinstance(made, Provisional):
        spelling = made.type[0].upper() + made.type[1:] if call.settings.guide_spelling else made.type
        return json_response({"bookingType": spelling, "provisionalBookingId": made.id}, 201)
    confirmed = {"appointmentId": made.id, "secret": made.secret}
    if request.attendee.email:
        confirmed["attendeeEmail"] = request.attendee.email
    return json_response(confirmed, 201)


def list_provisional(call: Call) -> Response:
    request, page, owner = call.request, read_page(call), call.get_list_owner()
    status = read_choice(request, "status", PROVISIONAL_STATUSES)
    is_company_wide = request.get_flag("companyWide")
    if is_company_wide:
        call.require_admin()
    provisional.expire_overdue(call.state)
    newest = call.state.now() - timedelta(seconds=call.list_lag)
    found = [
        one
        for one in call.state.provisionals.values()
        if (is_company_wide or owner.id in one.host_ids)
        and status in (None, one.status)
        and request.get("meetingTypeId") in (None, one.request.meeting_type.id)
        and (call.list_lag <= 0 or one.created_at <= newest)
    ]
    shown = [_build_document(call, one) for one in found[page.offset : page.offset + page.limit]]
    return json_response({"provisionalBookings": shown, "total": len(found)})


def _build_document(call: Call, one: Provisional) -> documents.Document:
    hosts = call.state.get_hosts(one.host_ids)
    return documents.provisional_document(one, hosts, with_answers=call.shows_answers)


def decline_provisional(call: Call) -> Response:
    found = call.state.provisionals.get(call.params["id"])
    if found is None or not (call.user.is_admin or call.user.id in found.host_ids):
        raise Refused(404, "Provisional booking not found")
    provisional.decline(call.state, found.id, read_text(call.request.json(), "reason"))
    return Response(200)
