"""The JSON documents the service sends, built from records."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from django_meetergo.sandbox.clock import print_instant
from django_meetergo.sandbox.records import (
    CHANNELS_WITHOUT_LINK,
    Appointment,
    Attendee,
    MeetingType,
    OneTimeLink,
    Provisional,
    Queue,
    User,
    Webhook,
)

Document = dict[str, Any]

COMPANY_ID = "a1c5e7d2-6b1f-4f7c-9a51-3d2f0b8e4c10"
COMPANY_NAME = "Praxis am Lindenhof"
COMPANY_SLUG = "praxis-am-lindenhof"
CREATED = "2025-02-03T10:20:00.000Z"


def user_document(user: User) -> Document:
    """Return a user as ``GET /v4/user/me`` does."""
    return {
        **host_document(user),
        "title": user.title,
        "timezone": user.timezone,
        "language": user.language,
        "isAdmin": user.is_admin,
        "isScimDisabled": False,
        "anonymousBooking": False,
        "anonymousCalendarActivity": False,
        "showGettingStartedList": False,
        "recieveEmailMarketing": False,
        "companyId": COMPANY_ID,
        "company": {"id": COMPANY_ID, "name": COMPANY_NAME, "tier": "essentials", "isInTrial": False},
        "personalPage": {
            "useCustomColors": False,
            "description": "",
            "headerImage": None,
            "meetingTypes": [],
        },
        "createdAt": CREATED,
        "updatedAt": CREATED,
        "deletedAt": None,
    }


def host_document(user: User) -> Document:
    """Return the short form of a user in other documents."""
    return {
        "id": user.id,
        "email": user.email,
        "givenName": user.given_name,
        "familyName": user.family_name,
        "fullName": user.full_name,
        "slug": user.slug,
        "userType": user.user_type,
        "picture": user.picture,
    }


def _build_meeting_info(kind: MeetingType, *, duration: float, channel: str) -> Document:
    return {
        "name": kind.name,
        "description": kind.description,
        "duration": duration,
        "channel": channel,
        "enableRedirect": False,
        "redirect": "",
        "passEventDetailsToRedirect": False,
        "customChannelName": "",
        "customChannelLink": "",
        "groupBooking": kind.is_group,
        "showAvailableSlots": False,
        "enrichInvitee": False,
        "confirmationButton": {"useConfirmationButton": False, "text": "", "color": "", "link": ""},
        "bufferBefore": kind.buffer_before,
        "bufferAfter": kind.buffer_after,
        "color": kind.color,
    }


def _build_meeting_options(kind: MeetingType) -> Document:
    return {
        "allowedDurations": list(kind.allowed_durations),
        "allowSelectChannel": kind.allow_select_channel,
        "allowedChannels": list(kind.allowed_channels),
        "allowHostSelection": False,
        "forceHostSelection": False,
        "allowAddingGuests": True,
        "allowPhoneOnlyBooking": kind.allow_phone_only,
        "doubleOptIn": kind.double_opt_in,
        "requireHostConfirmation": kind.host_confirmation,
        "enableClusterMeeting": False,
        "enableBufferCarryOver": False,
        "maxBufferCarryOverDelay": 0,
        "bookingPagePassword": {"enable": False, "password": None},
        "channelAvailabilities": {},
    }


def meeting_type_document(kind: MeetingType, public_url: str) -> Document:
    """Return a meeting type in today's form. ``public_url`` is where the hosted pages are."""
    return {
        "id": kind.id,
        "slug": kind.slug,
        "enabled": kind.enabled,
        "meetingInfo": _build_meeting_info(kind, duration=kind.duration, channel=kind.channel),
        "meetingOptions": _build_meeting_options(kind),
        "spots": kind.spots,
        "timeslotInterval": kind.interval,
        "bookingMinimum": kind.notice,
        "daysIntoFuture": {"mode": "limit", "bookingLimit": kind.horizon, "countMode": "calendar"},
        "locations": list(kind.locations),
        "bookingUrl": booking_url(kind, public_url),
        "userId": kind.user_id,
        "queueId": kind.queue_id,
        "workspaceId": kind.workspace_id,
        "companyId": COMPANY_ID,
        "availabilityId": None,
        "isGlobalQueue": False,
        "metadata": kind.metadata,
        "createdAt": CREATED,
        "deletedAt": None,
    }


def booking_url(kind: MeetingType, public_url: str) -> str:
    """Return the address of a meeting type's public booking page."""
    return f"{public_url}/{COMPANY_SLUG}/{kind.slug}"


def one_time_link_document(link: OneTimeLink, public_url: str) -> Document:
    """Return a one-time booking link. Its address ends with random text, not with the meeting type's slug."""
    return {"id": link.id, "url": f"{public_url}/1t/{link.token}"}


def old_meeting_type_document(kind: MeetingType, public_url: str) -> Document:
    """Return a meeting type in the short form of older documentation."""
    return {
        "id": kind.id,
        "name": kind.name,
        "duration": kind.duration,
        "slug": kind.slug,
        "bookingUrl": booking_url(kind, public_url),
        "createdAt": CREATED,
    }


def attendee_document(attendee: Attendee, *, with_answers: bool) -> Document:
    """Return an attendee; the answers to the booking form are optional."""
    document: Document = {
        "id": attendee.id,
        "email": attendee.email,
        "firstname": attendee.firstname,
        "lastname": attendee.lastname,
        "fullname": attendee.fullname,
        "phone": attendee.phone,
        "timezone": attendee.timezone,
        "language": attendee.language,
    }
    if attendee.company is not None:
        document["company"] = attendee.company
    if attendee.guests:
        document["bringalongEmails"] = list(attendee.guests)
    if with_answers:
        document["notes"] = dict(attendee.answers)
        document["customFields"] = dict(attendee.answers)
    return document


def meeting_link(appointment: Appointment) -> str | None:
    """Return the address of a video meeting; None for a meeting by phone or in person."""
    if appointment.channel in CHANNELS_WITHOUT_LINK or appointment.link_number is None:
        return None
    return f"https://video.example.com/j/{appointment.link_number}"


def _build_cancel_info(appointment: Appointment) -> Document:
    return {
        "actionSource": appointment.cancel_source,
        "actionAt": _print_optional(appointment.cancel_at),
        "actionBy": appointment.cancel_by,
        "reason": appointment.cancel_reason,
    }


def _short_meeting_type(kind: MeetingType) -> Document:
    return {
        "id": kind.id,
        "slug": kind.slug,
        "meetingInfo": {"name": kind.name, "duration": kind.duration},
        "metadata": kind.metadata,
    }


def appointment_document(
    appointment: Appointment,
    kind: MeetingType,
    hosts: list[User],
    *,
    with_answers: bool = True,
    with_reschedule_count: bool = True,
) -> Document:
    """Return an appointment as reads do; some services leave out the number of moves."""
    minutes = int(appointment.length.total_seconds() // 60)
    document = {
        "id": appointment.id,
        "secret": appointment.secret,
        "start": print_instant(appointment.start),
        "end": print_instant(appointment.end),
        "isCancelled": appointment.is_cancelled,
        "rescheduledAt": _print_optional(appointment.rescheduled_at),
        "rescheduleCount": appointment.reschedule_count,
        "cancel": _build_cancel_info(appointment),
        "location": appointment.location,
        "note": appointment.note,
        "meetingInfo": _build_meeting_info(kind, duration=minutes, channel=appointment.channel),
        "hostingInfo": {
            "mainHost": appointment.host_ids[0] if appointment.host_ids else None,
            "meetingLink": meeting_link(appointment),
            "googleEventId": None,
            "calendarConnectionId": None,
            "zoomMeetingId": appointment.link_number if appointment.channel == "zoom" else None,
        },
        "meetingType": {**_short_meeting_type(kind), "name": kind.name, "duration": kind.duration},
        "meetingTypeId": kind.id,
        "attendees": [
            attendee_document(attendee, with_answers=with_answers) for attendee in appointment.attendees
        ],
        "attendeeIds": [attendee.id for attendee in appointment.attendees],
        "hosts": [host_document(host) for host in hosts],
        "hostIds": list(appointment.host_ids),
        "companyId": COMPANY_ID,
        "transcription": None,
        "summary": None,
        "createdAt": print_instant(appointment.created_at),
        "updatedAt": print_instant(appointment.updated_at),
    }
    if not with_reschedule_count:
        del document["rescheduleCount"]
    return document


def event_document(name: str, appointment: Appointment, kind: MeetingType, hosts: list[User]) -> Document:
    """Return the body of a webhook delivery. Its times have an offset and no milliseconds."""
    zone = hosts[0].zone if hosts else ZoneInfo("UTC")
    document: Document = {
        "webhookType": name,
        "id": appointment.id,
        "secret": appointment.secret,
        "start": appointment.start.astimezone(zone).isoformat(timespec="seconds"),
        "end": appointment.end.astimezone(zone).isoformat(timespec="seconds"),
        "location": appointment.location,
        "isCancelled": appointment.is_cancelled,
        "rescheduledAt": _print_optional(appointment.rescheduled_at),
        "meetingInfo": {"channel": appointment.channel, "meetingLink": meeting_link(appointment)},
        "attendees": [attendee_document(attendee, with_answers=True) for attendee in appointment.attendees],
        "hosts": [host_document(host) for host in hosts],
        "hostIds": list(appointment.host_ids),
        "meetingType": _short_meeting_type(kind),
        "meetingTypeId": kind.id,
        "companyId": COMPANY_ID,
        "createdAt": _print_seconds(appointment.created_at),
        "updatedAt": _print_seconds(appointment.updated_at),
    }
    if appointment.is_cancelled:
        document["cancel"] = _build_cancel_info(appointment)
    return document


def provisional_document(
    provisional: Provisional, hosts: list[User], *, with_answers: bool = True
) -> Document:
    """Return a provisional booking with the request that made it."""
    dto = dict(provisional.request.body)
    if not with_answers:
        hidden = ("notes", "customFields")
        dto["attendee"] = {key: value for key, value in dto["attendee"].items() if key not in hidden}
    chosen: Document = {"userIds": list(provisional.host_ids), "selectionReason": {}, "groupId": None}
    return {
        "id": provisional.id,
        "type": provisional.type,
        "dto": dto,
        "meetingTypeId": provisional.request.meeting_type.id,
        "createdAt": print_instant(provisional.created_at),
        "deletedAt": _print_optional(provisional.deleted_at),
        "queueBookingInfo": chosen if "queueId" in dto else None,
        "hosts": [_build_provisional_host(host) for host in hosts],
    }


def _build_provisional_host(user: User) -> Document:
    # Without email and fullName, unlike the hosts of an appointment.
    host = host_document(user)
    return {key: host[key] for key in ("id", "givenName", "familyName", "slug", "userType", "picture")}


def queue_document(queue: Queue, users: list[User]) -> Document:
    """Return a queue with its hosts."""
    return {
        "id": queue.id,
        "meetingTypeId": queue.meeting_type_id,
        "type": queue.type,
        "users": [host_document(user) for user in users],
        "userIds": list(queue.user_ids),
        "userCapacities": [{"userId": user_id, "capacity": 1} for user_id in queue.user_ids],
        "userPriorities": [],
        "maxLeadThreshold": 2,
        "distributionPeriod": "day",
        "prioritizeNearTermAvailability": True,
    }


def webhook_document(webhook: Webhook) -> Document:
    """Return a webhook endpoint."""
    return {
        "id": webhook.id,
        "endpoint": webhook.endpoint,
        "description": webhook.description,
        "eventTypes": list(webhook.event_types),
        "companyId": COMPANY_ID,
        "createdAt": print_instant(webhook.created_at),
    }


def _print_optional(moment: datetime | None) -> str | None:
    return None if moment is None else print_instant(moment)


def _print_seconds(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
