"""``GET /v4/booking-availability``: free starts, in whichever shape the sandbox is set to."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

from django_meetergo.sandbox.clock import print_instant
from django_meetergo.sandbox.http import Answer, Request, answer_json
from django_meetergo.sandbox.records import MeetingType, Refused
from django_meetergo.sandbox.requests import choose_scope, pick_duration
from django_meetergo.sandbox.routing import Call, read_bound
from django_meetergo.sandbox.working_hours import SlotQuery, Spot, epoch


def get_availability(call: Call) -> Answer:
    """The starts that can be booked in a window."""
    request = call.request
    # Checked before the meeting type is looked up, as production does.
    if not request.many("hostIds") and not request.one("queueId"):
        raise Refused(400, "Expected hostIds or queueId")
    missing = [
        f"{name} should not be empty" for name in ("meetingTypeId", "start", "end") if not request.one(name)
    ]
    if missing:
        raise Refused(400, missing)
    kind = call.state.meeting_types.get(request.one("meetingTypeId") or "")
    if kind is None:
        raise Refused(400, "Meeting type not found")
    host_ids, queue = choose_scope(call.state, kind, request.many("hostIds"), request.one("queueId"))
    zone = _read_zone(request.one("timezone") or call.state.users[host_ids[0]].timezone)
    together = _wants_everyone(request, default=queue.method if queue is not None else "anyone")
    duration = _read_duration(kind, request.one("meetingDuration"))
    wish = SlotQuery(
        meeting_type=kind,
        duration=duration,
        earliest=_read_edge(request, "start", zone),
        latest=_read_edge(request, "end", zone),
        host_ids=tuple(host_ids),
        together=together,
        ignore=request.one("existingAppointmentId"),
        hide_groups=request.flag("hideGroupAppointments"),
        troubleshoot=request.flag("troubleshoot"),
    )
    spots = call.state.spots(wish, skip_notice=request.flag("skipEarliestBookingCalculation"))
    return answer_json(_print_spots(call, wish, spots, zone))


def _wants_everyone(request: Request, *, default: str) -> bool:
    method = request.one("calculationMethod") or default
    if method not in {"anyone", "everyone"}:
        raise Refused(400, ["calculationMethod must be one of the following values: anyone, everyone"])
    return method == "everyone"


def _read_edge(request: Request, name: str, zone: ZoneInfo) -> int:
    moment = read_bound(request.one(name), name, zone)
    return 0 if moment is None else epoch(moment)


def _read_duration(kind: MeetingType, text: str | None) -> int:
    try:
        return pick_duration(kind, None if text is None else float(text))
    except ValueError as error:
        raise Refused(400, ["meetingDuration must be a number"]) from error


@lru_cache(maxsize=256)
def _read_zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise Refused(400, ["timezone must be a valid IANA time zone"]) from error


def _print_spots(call: Call, wish: SlotQuery, spots: list[Spot], zone: ZoneInfo) -> dict[str, Any]:
    shape = call.settings.availability_shape
    if shape == "slots":
        return _print_slots(wish, spots, zone)
    if shape == "flat":
        return _print_flat(wish, spots)
    return _print_dates(call, wish, spots, zone)


def _print_dates(call: Call, wish: SlotQuery, spots: list[Spot], zone: ZoneInfo) -> dict[str, Any]:
    dates = [
        {"date": day.isoformat(), "spots": [_print_spot(call, wish, spot, local) for local, spot in group]}
        for day, group in _by_day(spots, zone)
    ]
    bookable = [spot for spot in spots if _is_bookable(wish, spot)]
    first = datetime.fromtimestamp(bookable[0].start, zone).date().isoformat() if bookable else None
    return {
        "timezone": zone.key,
        "timeframes": _frames(wish, bookable),
        "dates": dates,
        "earliestAvailableDate": first,
        "earliestMonthAvailability": None,
    }


def _by_day(spots: list[Spot], zone: ZoneInfo) -> Any:
    located = [(datetime.fromtimestamp(spot.start, zone), spot) for spot in spots]
    return groupby(located, key=lambda pair: pair[0].date())


def _is_bookable(wish: SlotQuery, spot: Spot) -> bool:
    hosts_needed = len(wish.host_ids) if wish.together else 1
    return len(spot.host_ids) >= hosts_needed and (spot.taken or 0) < wish.meeting_type.spots


def _print_spot(call: Call, wish: SlotQuery, spot: Spot, local: datetime) -> dict[str, Any]:
    blocked = spot.blocked_by if wish.together or not spot.host_ids else []
    printed: dict[str, Any] = {
        "startTime": local.isoformat(timespec="milliseconds"),
        "unavailabilityEvents": [_print_block(call, host_id) for host_id in blocked],
    }
    if spot.taken is not None:
        printed["appointment"] = {"totalSpots": wish.meeting_type.spots, "takenSpots": spot.taken}
        if spot.appointment_id is not None:
            printed["appointment"]["id"] = spot.appointment_id
    return printed


def _print_block(call: Call, host_id: str) -> dict[str, Any]:
    host = call.state.users[host_id]
    return {"hostId": host.id, "hostName": host.full_name, "type": "event", "picture": host.picture}


def _frames(wish: SlotQuery, spots: list[Spot]) -> list[dict[str, str]]:
    """Bookable starts melted into windows of free time."""
    frames: list[list[int]] = []
    for spot in spots:
        end = spot.start + wish.duration * 60
        if frames and spot.start <= frames[-1][1]:
            frames[-1][1] = end
        else:
            frames.append([spot.start, end])
    return [{"start": _utc(low), "end": _utc(high)} for low, high in frames]


def _utc(moment: int) -> str:
    return print_instant(datetime.fromtimestamp(moment, UTC))


def _print_slots(wish: SlotQuery, spots: list[Spot], zone: ZoneInfo) -> dict[str, Any]:
    slots = [
        {"date": day.isoformat(), "times": [local.isoformat(timespec="seconds") for local, _ in group]}
        for day, group in _by_day([spot for spot in spots if _is_bookable(wish, spot)], zone)
    ]
    return {"slots": slots, "timezone": zone.key}


def _print_flat(wish: SlotQuery, spots: list[Spot]) -> dict[str, Any]:
    length = wish.duration * 60
    free = [spot for spot in spots if _is_bookable(wish, spot)]
    return {
        "availableSlots": [{"start": _utc(spot.start), "end": _utc(spot.start + length)} for spot in free]
    }
