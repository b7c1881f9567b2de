"""The practice: its treatments, team and opening hours.

Slugs, names and hours are those of the sandbox's clinic. What can be booked, for how long and with whom comes
from the mirrored meeting types, so the pages always agree with the calendar.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.translation import gettext_lazy as _

from django_meetergo.models import MeetingType


@dataclass(frozen=True, kw_only=True)
class Treatment:
    """A treatment and the slug of the meeting type it is booked as."""

    slug: str
    name: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Person:
    """A member of the team."""

    name: str
    initials: str
    role: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Hours:
    """The opening hours of some days."""

    day: str
    times: str


TREATMENTS = (
    Treatment(
        slug="intro-call",
        name=_("Intro call"),
        text=_("A first conversation by video: tell us what troubles you, and we say how we would begin."),
    ),
    Treatment(
        slug="consultation",
        name=_("Consultation"),
        text=_("Questions, findings and a plan. Here with us, by phone or by video, short or long."),
    ),
    Treatment(
        slug="next-therapist",
        name=_("Next free therapist"),
        text=_("If it should be soon and you do not mind with whom, this is the quickest way to us."),
    ),
    Treatment(
        slug="checkup",
        name=_("Check-up"),
        text=_("Posture, mobility and strength, measured calmly, with a page to take home."),
    ),
    Treatment(
        slug="second-opinion",
        name=_("Second opinion"),
        text=_("Before an operation or after a long therapy: we read your findings first, then we talk."),
    ),
    Treatment(
        slug="group-class",
        name=_("Back class"),
        text=_("An hour of exercises in the garden house, never more than eight people."),
    ),
)

#: The treatment that runs in courses.
CLASS = "group-class"

TEAM = (
    Person(
        name="Anna Weber",
        initials="AW",
        role=_("Physiotherapist, owner"),
        text=_("Shoulders, knees and runners’ troubles. On Thursdays she is here until seven."),
    ),
    Person(
        name="Ben Okafor",
        initials="BO",
        role=_("Osteopath"),
        text=_("Backs, jaws and headaches. He opens the practice on Saturday mornings."),
    ),
    Person(
        name="Clara Yılmaz",
        initials="CY",
        role=_("Physiotherapist"),
        text=_("Check-ups, recovery after operations, and the back class in the garden house."),
    ),
)

OPENING_HOURS = (
    Hours(day=_("Monday to Wednesday"), times="9:00–12:30, 13:30–17:00"),
    Hours(day=_("Thursday"), times="9:00–12:30, 13:30–19:00"),
    Hours(day=_("Friday"), times="9:00–12:30, 13:30–17:00"),
    Hours(day=_("Saturday"), times="9:00–13:00"),
)


@dataclass(frozen=True, kw_only=True)
class Offer:
    """A treatment with its meeting type, or None if it cannot be booked now."""

    treatment: Treatment
    meeting_type: MeetingType | None


def list_offers() -> list[Offer]:
    """Return every treatment in the order of the page, with two queries."""
    rows = MeetingType.objects.bookable().defer("raw").prefetch_related("hosts")
    by_slug = {row.slug: row for row in rows}
    return [Offer(treatment=each, meeting_type=by_slug.get(each.slug)) for each in TREATMENTS]


def find_offer(slug: str) -> Offer | None:
    """Return the treatment with this slug; None if there is none."""
    row = MeetingType.objects.bookable().defer("raw").prefetch_related("hosts").filter(slug=slug).first()
    found = (each for each in TREATMENTS if each.slug == slug)
    return next((Offer(treatment=each, meeting_type=row) for each in found), None)
