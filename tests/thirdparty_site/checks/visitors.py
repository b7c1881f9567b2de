"""What the checks do as a site's own code does."""

from django_meetergo.services import AttendeeData, book_appointment

JANE = AttendeeData(email="jane@example.com", first_name="Jane", last_name="Doe")


def book(sandbox, slug="intro-call", nth=0, **options):
    """Book the nth free time."""
    start = options.pop("start", None) or sandbox.list_free_starts(slug)[nth]
    options.setdefault("attendee", JANE)
    return book_appointment(meeting_type=slug, start=start, now=sandbox.now(), **options)
