"""Users and their calendars, meeting types, queues, one-time links and data fields."""

from __future__ import annotations

import secrets
from uuid import UUID

from django_meetergo.sandbox import documents
from django_meetergo.sandbox.errors import Refused
from django_meetergo.sandbox.http import Response, json_response
from django_meetergo.sandbox.records import MeetingType, OneTimeLink, Queue
from django_meetergo.sandbox.routing import Call, read_choice, read_limit

USER_TYPES = ("standard", "resource", "api-platform", "partner")


def get_me(call: Call) -> Response:
    return json_response(documents.user_document(call.user))


def list_users(call: Call) -> Response:
    call.require_admin()
    limit, offset = read_limit(call.request, 20)
    user_type = read_choice(call.request, "userType", USER_TYPES)
    users = [user for user in call.state.users.values() if user_type in (None, user.user_type)]
    page = [documents.user_document(user) for user in users[offset : offset + limit]]
    return json_response({"users": page, "total": len(users), "limit": limit, "offset": offset})


def list_meeting_types(call: Call) -> Response:
    sees_all = call.user.is_admin and not call.settings.own_meeting_types
    kinds = [kind for kind in call.state.meeting_types.values() if sees_all or _is_host(call, kind)]
    if call.settings.wrapped_meeting_types:
        old = [documents.old_meeting_type_document(kind, call.state.public_url) for kind in kinds]
        return json_response({"meetingTypes": old})
    return json_response([documents.meeting_type_document(kind, call.state.public_url) for kind in kinds])


def _is_host(call: Call, kind: MeetingType) -> bool:
    queue = call.state.queues.get(kind.queue_id or "")
    return kind.user_id == call.user.id or (queue is not None and call.user.id in queue.user_ids)


def get_meeting_type(call: Call) -> Response:
    return json_response(documents.meeting_type_document(_get_meeting_type(call), call.state.public_url))


def _get_meeting_type(call: Call) -> MeetingType:
    wanted = call.params["id"]
    kind = call.state.meeting_types.get(wanted)
    if kind is not None:
        return kind
    if call.settings.malformed_id_500 and not _is_uuid(wanted):
        raise Refused(500, "Internal server error")
    raise Refused(404, "Meeting type not found")


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def get_queue(call: Call) -> Response:
    queue = _get_queue(call)
    return json_response(documents.queue_document(queue, call.state.get_hosts(queue.user_ids)))


def get_next_hosts(call: Call) -> Response:
    hosts = call.state.get_hosts(_get_queue(call).rotation())
    return json_response({"nextHosts": [documents.host_document(host) for host in hosts]})


def _get_queue(call: Call) -> Queue:
    queue = call.state.queues.get(call.params["id"])
    if queue is None:
        raise Refused(404, "Queue not found")
    return queue


def list_workspace_queues(call: Call) -> Response:
    wanted = call.params["workspaceId"]
    queues = [queue for queue in call.state.queues.values() if queue.workspace_id == wanted]
    if not queues:
        raise Refused(404, "Workspace not found")
    return json_response(
        [documents.queue_document(queue, call.state.get_hosts(queue.user_ids)) for queue in queues]
    )


def create_one_time_link(call: Call) -> Response:
    state = call.state
    token = secrets.token_urlsafe(12)
    link = OneTimeLink(state.new_id(), _get_meeting_type(call).id, token, created_at=state.now())
    state.one_time_links[token] = link
    return json_response(documents.one_time_link_document(link, state.public_url), 201)


def list_calendar_connections(call: Call) -> Response:
    return json_response([{"id": f"{call.user.id}-{name}", "provider": name} for name in call.user.calendars])


def list_data_fields(call: Call) -> Response:
    limit, offset = read_limit(call.request, 50)
    return json_response(call.state.data_fields[offset : offset + limit])
