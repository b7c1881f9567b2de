"""``GET /v4/booking-availability``: free starts, in the shape the sandbox is set to."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

from django_meetergo.sandbox.booking_requests import choose_duration, choose_hosts
from django_meetergo.sandbox.bookings import list_spots
from django_meetergo.sandbox.clock import print_instant
from django_meetergo.sandbox.errors import Refused
from django_meetergo.sandbox.http import Request, Response, json_response
from django_meetergo.sandbox.records import CHANNELS, MeetingType, Queue
from django_meetergo.sandbox.routing import Call, read_bound, read_choice
from django_meetergo.sandbox.working_hours import SlotQuery, Spot, to_epoch


def get_availability(call: Call) -> Response:
    """Return the starts that can be booked in a window."""
    request = call.request
    # Production checks this before it reads the meeting type.
    if not request.get_list("hostIds") and not request.get("queueId"):
        raise Refused(400, "Expected hostIds or queueId")
    missing = [
        f"{name} should not be empty" for name in ("meetingTypeId", "start", "end") if not request.get(name)
    ]
    if missing:
        raise Refused(400, missing)
    kind = call.state.meeting_types.get(request.get("meetingTypeId") or "")
    if kind is None:
        raise Refused(400, "Meeting type not found")
    read_choice(request, "channel", CHANNELS)
    request.get_flag("refreshCache")  # accepted and without effect: the sandbox caches nothing
    moved = call.state.appointments.get(request.get("existingAppointmentId") or "")
    host_ids, queue = choose_hosts(
        call.state,
        kind,
        request.get_list("hostIds"),
        request.get("queueId"),
        former_host_ids=() if moved is None else moved.host_ids,
    )
    if not request.get_list("hostIds") and call.settings.queue_availability == "next_host":
        host_ids = host_ids[:1]
    zone = _read_zone(request.get("timezone") or call.state.users[host_ids[0]].timezone)
    duration = _read_duration(kind, request.get("meetingDuration"))
    query = SlotQuery(
        meeting_type=kind,
        duration=duration,
        earliest=_read_bound(request, "start", zone),
        latest=_read_bound(request, "end", zone),
        host_ids=tuple(host_ids),
        needs_all_hosts=_needs_all_hosts(call, queue),
        ignored_key=request.get("existingAppointmentId"),
        # Two group appointments are never merged.
        hide_groups=request.get_flag("hideGroupAppointments") or (moved is not None and kind.is_group),
        troubleshoot=request.get_flag("troubleshoot"),
    )
    if call.settings.untidy_availability:
        query = _widen_to_whole_days(query, zone)
    spots = list_spots(call.state, query, skip_notice=request.get_flag("skipEarliestBookingCalculation"))
    return json_response(_print_spots(call, query, spots, zone))


def _widen_to_whole_days(query: SlotQuery, zone: ZoneInfo) -> SlotQuery:
    first = datetime.fromtimestamp(query.earliest, zone).replace(hour=0, minute=0, second=0)
    last = datetime.fromtimestamp(query.latest, zone).replace(hour=0, minute=0, second=0) + timedelta(days=1)
    return replace(query, earliest=to_epoch(first), latest=to_epoch(last))


def _needs_all_hosts(call: Call, queue: Queue | None) -> bool:
    method = read_choice(call.request, "calculationMethod", ("anyone", "everyone"))
    if method is None and queue is not None and call.settings.default_calculation == "queue":
        method = queue.method
    if method is None and not call.request.get("queueId") and call.settings.hosts_availability == "common":
        method = "everyone"
    return method == "everyone"


def _read_bound(request: Request, name: str, zone: ZoneInfo) -> int:
    moment = read_bound(request.get(name), name, zone)
    return 0 if moment is None else to_epoch(moment)


def _read_duration(kind: MeetingType, text: str | None) -> int:
    try:
        return choose_duration(kind, None if text is None else float(text))
    except ValueError as error:
        raise Refused(400, ["meetingDuration must be a number"]) from error


@lru_cache(maxsize=256)
def _read_zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise Refused(400, ["timezone must be a valid IANA time zone"]) from error


def _print_spots(call: Call, query: SlotQuery, spots: list[Spot], zone: ZoneInfo) -> dict[str, Any]:
    shape = call.settings.availability_shape
    listed = [*reversed(spots), *spots] if call.settings.untidy_availability else spots
    if shape == "slots":
        return _print_slots(query, listed, zone)
    if shape == "flat":
        return _print_flat(query, listed)
    dates = [
        {"date": day.isoformat(), "spots": [_print_spot(call, query, spot, local) for local, spot in group]}
        for day, group in _group_by_day(listed, zone)
    ]
    bookable = [spot for spot in spots if _is_bookable(query, spot)]
    first = datetime.fromtimestamp(bookable[0].start, zone).date().isoformat() if bookable else None
    return {
        "timezone": zone.key,
        "timeframes": _merge_timeframes(query, bookable),
        "dates": dates,
        "earliestAvailableDate": first,
        "earliestMonthAvailability": None,
    }


def _group_by_day(spots: list[Spot], zone: ZoneInfo) -> Any:
    located = [(datetime.fromtimestamp(spot.start, zone), spot) for spot in spots]
    return groupby(located, key=lambda pair: pair[0].date())


def _is_bookable(query: SlotQuery, spot: Spot) -> bool:
    hosts_needed = len(query.host_ids) if query.needs_all_hosts else 1
    return len(spot.host_ids) >= hosts_needed and (spot.seats_taken or 0) < query.meeting_type.spots


def _print_spot(call: Call, query: SlotQuery, spot: Spot, local: datetime) -> dict[str, Any]:
    blocked = spot.blocked_by if query.needs_all_hosts or not spot.host_ids else []
    printed: dict[str, Any] = {
        "startTime": local.isoformat(timespec="milliseconds"),
        "unavailabilityEvents": [_print_unavailability(call, host_id) for host_id in blocked],
    }
    if spot.seats_taken is not None:
        printed["appointment"] = {"totalSpots": query.meeting_type.spots, "takenSpots": spot.seats_taken}
        if spot.appointment_id is not None:
            printed["appointment"]["id"] = spot.appointment_id
    return printed


def _print_unavailability(call: Call, host_id: str) -> dict[str, Any]:
    host = call.state.users[host_id]
    return {"hostId": host.id, "hostName": host.full_name, "type": "event", "picture": host.picture}


def _merge_timeframes(query: SlotQuery, spots: list[Spot]) -> list[dict[str, str]]:
    """Merge bookable starts into windows of free time."""
    frames: list[list[int]] = []
    for spot in spots:
        end = spot.start + query.duration * 60
        if frames and spot.start <= frames[-1][1]:
            frames[-1][1] = end
        else:
            frames.append([spot.start, end])
    return [{"start": _utc(low), "end": _utc(high)} for low, high in frames]


def _utc(moment: int) -> str:
    return print_instant(datetime.fromtimestamp(moment, UTC))


def _print_slots(query: SlotQuery, spots: list[Spot], zone: ZoneInfo) -> dict[str, Any]:
    slots = [
        {"date": day.isoformat(), "times": [local.isoformat(timespec="seconds") for local, _ in group]}
        for day, group in _group_by_day([spot for spot in spots if _is_bookable(query, spot)], zone)
    ]
    return {"slots": slots, "timezone": zone.key}


def _print_flat(query: SlotQuery, spots: list[Spot]) -> dict[str, Any]:
    length = query.duration * 60
    free = [spot for spot in spots if _is_bookable(query, spot)]
    return {
        "availableSlots": [{"start": _utc(spot.start), "end": _utc(spot.start + length)} for spot in free]
    }
