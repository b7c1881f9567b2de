"""The clinic every sandbox starts with. All ids and tokens are the same on every start.

Credentials (each personal token is ``rgo-`` and 32 characters):

========================  ============================================================
``ADMIN_TOKEN``           the owner, who is an admin and the first host; all scopes
``PLATFORM_KEY``          acts as the user that ``x-meetergo-api-user-id`` names
``EXPIRED_TOKEN``         answers 401 "API key has expired"
``SCHEDULING_TOKEN``      the owner, limited to scheduling: no webhooks, no user/me
``CRM_TOKEN``             the owner, limited to the CRM: refused on every route here
``MEMBER_TOKEN``          the second host, who is not an admin; all scopes
========================  ============================================================

Hosts, all in Europe/Berlin: ``ANNA`` (Mon to Fri, Thursday until 19:00), ``BEN`` (Mon to Fri and
Saturday morning), ``CLARA`` (Mon to Fri, short Friday).
"""

from __future__ import annotations

from datetime import datetime, time, timedelta
from uuid import UUID, uuid5

from django_meetergo.sandbox.clock import Clock
from django_meetergo.sandbox.records import Appointment, Attendee, Hours, MeetingType, Queue, Token, User
from django_meetergo.sandbox.state import State

NAMESPACE = UUID("5d1c3d5e-7b0a-4f53-9a37-0f6a1b2c9e40")


def stable_id(name: str) -> str:
    """Return the id that belongs to a name, the same on every start."""
    return str(uuid5(NAMESPACE, name))


def _build_token(name: str) -> str:
    return "rgo-" + name.ljust(32, "0")


ADMIN_TOKEN = _build_token("sandbox")
EXPIRED_TOKEN = _build_token("sandboxexpired")
SCHEDULING_TOKEN = _build_token("sandboxscheduling")
CRM_TOKEN = _build_token("sandboxcrm")
MEMBER_TOKEN = _build_token("sandboxmember")
PLATFORM_KEY = "ak_live:00000000-0000-4000-8000-000000000001:sandbox"

ANNA = stable_id("user/anna")
BEN = stable_id("user/ben")
CLARA = stable_id("user/clara")
OWNER = ANNA
WORKSPACE = stable_id("workspace/therapy")
QUEUE = stable_id("queue/next-therapist")

INTRO_CALL = stable_id("type/intro-call")
CONSULTATION = stable_id("type/consultation")
NEXT_THERAPIST = stable_id("type/next-therapist")
CHECKUP = stable_id("type/checkup")
SECOND_OPINION = stable_id("type/second-opinion")
GROUP_CLASS = stable_id("type/group-class")
TEAM_CONSULTATION = stable_id("type/team-consultation")
TEAM_QUEUE = stable_id("queue/team-consultation")

ROOM_ONE = "Lindenhof 4, Raum 1, 10115 Berlin"
ROOM_TWO = "Gartenhaus, Lindenhof 6, 10115 Berlin"

ALL_SCOPES = frozenset({"scheduling", "crm", "account"})


def _hours(*parts: tuple[float, float]) -> tuple[tuple[int, int], ...]:
    return tuple((int(opens * 60), int(closes * 60)) for opens, closes in parts)


DAY = _hours((9, 12.5), (13.5, 17))
WEEK: Hours = dict.fromkeys(range(5), DAY)


def seed_state(state: State) -> None:
    """Fill an empty state with the clinic and a few appointments on the coming days."""
    _add_people(state)
    _add_types(state)
    _add_tokens(state)
    _add_fields(state)
    _add_appointments(state)


def _add_people(state: State) -> None:
    people = (
        User(
            id=ANNA,
            email="anna.weber@praxis.example",
            given_name="Anna",
            family_name="Weber",
            title="Physiotherapist, owner",
            slug="anna-weber",
            timezone="Europe/Berlin",
            is_admin=True,
            hours={**WEEK, 3: _hours((9, 12.5), (13.5, 19))},
        ),
        User(
            id=BEN,
            email="ben.okafor@praxis.example",
            given_name="Ben",
            family_name="Okafor",
            title="Osteopath",
            slug="ben-okafor",
            timezone="Europe/Berlin",
            hours={**WEEK, 5: _hours((9, 13))},
        ),
        User(
            id=CLARA,
            email="clara.yilmaz@praxis.example",
            given_name="Clara",
            family_name="Yılmaz",
            title="Physiotherapist",
            slug="clara-yilmaz",
            timezone="Europe/Berlin",
            hours={**WEEK, 4: _hours((9, 12.5))},
        ),
    )
    state.users = {person.id: person for person in people}
    state.owner_id = OWNER


def _add_types(state: State) -> None:
    kinds = (
        MeetingType(
            id=INTRO_CALL,
            slug="intro-call",
            name="Intro call",
            description="A first conversation by video.",
            duration=30,
            channel="zoom",
            user_id=ANNA,
            buffer_after=0,
        ),
        MeetingType(
            id=CONSULTATION,
            slug="consultation",
            name="Consultation",
            description="Questions, findings and a plan.",
            duration=30,
            allowed_durations=(15, 30, 60),
            channel="local",
            allow_select_channel=True,
            allowed_channels=("connect", "phone", "local"),
            locations=(ROOM_ONE, ROOM_TWO),
            user_id=BEN,
            interval=15,
            notice=120,
            color="#2E7D5B",
        ),
        MeetingType(
            id=NEXT_THERAPIST,
            slug="next-therapist",
            name="Next free therapist",
            description="Whoever of us is free first.",
            duration=30,
            channel="connect",
            queue_id=QUEUE,
            workspace_id=WORKSPACE,
            color="#8A4FBF",
        ),
        MeetingType(
            id=CHECKUP,
            slug="checkup",
            name="Check-up",
            description="On site; please confirm by e-mail.",
            duration=45,
            channel="local",
            locations=(ROOM_ONE,),
            user_id=CLARA,
            interval=15,
            buffer_before=5,
            buffer_after=10,
            double_opt_in="enabled",
            host_confirmation="disabled",
            color="#C77D1E",
        ),
        MeetingType(
            id=SECOND_OPINION,
            slug="second-opinion",
            name="Second opinion",
            description="We read your findings first and then confirm the time.",
            duration=60,
            channel="google",
            user_id=BEN,
            notice=1440,
            double_opt_in="disabled",
            host_confirmation="enabled",
            color="#B23A48",
        ),
        MeetingType(
            id=GROUP_CLASS,
            slug="group-class",
            name="Back class",
            description="Exercises for the back, up to eight people.",
            duration=60,
            channel="local",
            locations=(ROOM_TWO,),
            user_id=CLARA,
            spots=8,
            interval=60,
            color="#0E7C86",
        ),
    )
    state.meeting_types = {kind.id: kind for kind in kinds}
    state.queues = {QUEUE: Queue(QUEUE, NEXT_THERAPIST, WORKSPACE, [ANNA, BEN, CLARA])}


def update_team_type(state: State) -> None:
    """Add the meeting type of the switch ``team_type``, or disable it when the switch is off."""
    if kind := state.meeting_types.get(TEAM_CONSULTATION):
        kind.enabled = state.settings.team_type
    elif state.settings.team_type:
        _add_team_type(state)


def _add_team_type(state: State) -> None:
    """Add a type for which Anna and Ben see an attendee together."""
    state.meeting_types[TEAM_CONSULTATION] = MeetingType(
        id=TEAM_CONSULTATION,
        slug="team-consultation",
        name="Team consultation",
        description="With a physiotherapist and an osteopath.",
        duration=60,
        channel="local",
        locations=(ROOM_ONE,),
        queue_id=TEAM_QUEUE,
        workspace_id=WORKSPACE,
    )
    state.queues[TEAM_QUEUE] = Queue(TEAM_QUEUE, TEAM_CONSULTATION, WORKSPACE, [ANNA, BEN], method="everyone")


def _add_tokens(state: State) -> None:
    tokens = (
        Token(ADMIN_TOKEN, OWNER, ALL_SCOPES),
        Token(PLATFORM_KEY, OWNER, ALL_SCOPES, is_platform=True),
        Token(EXPIRED_TOKEN, OWNER, ALL_SCOPES, expired=True),
        Token(SCHEDULING_TOKEN, OWNER, frozenset({"scheduling"})),
        Token(CRM_TOKEN, OWNER, frozenset({"crm"})),
        Token(MEMBER_TOKEN, BEN, ALL_SCOPES),
    )
    state.tokens = {token.value: token for token in tokens}


def _add_fields(state: State) -> None:
    state.data_fields = [
        {
            "id": stable_id("field/insurance"),
            "label": "Insurance",
            "name": "insurance",
            "fieldType": "select",
            "required": False,
            "options": [{"label": "Public", "value": "public"}, {"label": "Private", "value": "private"}],
            "target": None,
        },
        {
            "id": stable_id("field/complaint"),
            "label": "What brings you here?",
            "name": "complaint",
            "fieldType": "text-multi",
            "required": False,
            "options": None,
            "target": None,
        },
    ]


# name, meeting type, host, working days from today, hour, minutes, channel, attendees
SEEDED_APPOINTMENTS = (
    ("one", INTRO_CALL, ANNA, 1, 10.0, 30, "zoom", ("Mara Lindqvist",)),
    ("two", CONSULTATION, BEN, 1, 14.0, 30, "local", ("Jonas Albers",)),
    ("three", INTRO_CALL, ANNA, 2, 15.0, 30, "zoom", ("Emre Aydın",)),
    ("four", NEXT_THERAPIST, CLARA, 2, 9.5, 30, "connect", ("Ida Petersen",)),
    ("five", GROUP_CLASS, CLARA, 3, 10.0, 60, "local", ("Paul Krüger", "Nadia Haddad", "Tom Reuter")),
    ("six", CONSULTATION, BEN, 4, 11.0, 60, "phone", ("Sofie Brandt",)),
)


def _add_appointments(state: State) -> None:
    for name, type_id, host_id, days, hour, minutes, channel, people in SEEDED_APPOINTMENTS:
        start = _get_working_time(state.clock, state.users[host_id], days, hour)
        created = state.now().replace(microsecond=0) - timedelta(days=2)
        kind = state.meeting_types[type_id]
        state.insert_appointment(
            Appointment(
                id=stable_id(f"appointment/{name}"),
                secret=stable_id(f"secret/{name}").replace("-", "")[:20],
                meeting_type_id=type_id,
                start=start,
                end=start + timedelta(minutes=minutes),
                host_ids=[host_id],
                attendees=[_build_attendee(person) for person in people],
                channel=channel,
                location=kind.locations[0] if channel == "local" else None,
                link_number=100_000_000 + UUID(stable_id(f"link/{name}")).int % 900_000_000,
                created_at=created,
                updated_at=created,
            )
        )


def _build_attendee(fullname: str) -> Attendee:
    firstname, lastname = fullname.split(" ", 1)
    key = stable_id(f"attendee/{fullname}")
    return Attendee(
        id=key,
        email=f"attendee-{key[:8]}@example.com",
        firstname=firstname,
        lastname=lastname,
        fullname=fullname,
        timezone="Europe/Berlin",
        language="de",
    )


def _get_working_time(clock: Clock, host: User, days: int, hour: float) -> datetime:
    day = clock.now().astimezone(host.zone).date()
    while days:
        day += timedelta(days=1)
        if day.weekday() < 5:
            days -= 1
    moment = time(int(hour), int(hour % 1 * 60))
    utc = clock.now().tzinfo
    return datetime.combine(day, moment, host.zone).astimezone(utc)
