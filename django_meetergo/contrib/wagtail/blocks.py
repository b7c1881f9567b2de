"""``BookingBlock``: the booking widget or the next free times as a block of a Wagtail page."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _
from wagtail import blocks

from django_meetergo.models import MeetingType

MAX_NEXT_SLOTS = 20


def list_choices() -> list[tuple[str, str]]:
    """Return the meeting types that can be booked on this site, by slug: it outlives a new mirror."""
    return list(MeetingType.objects.bookable().order_by("name").values_list("slug", "name"))


class BookingBlock(blocks.StructBlock):
    """A meeting type, shown as the calendar or as a number of next free times.

    The page's template needs ``{% meetergo_assets %}``. A meeting type that no longer exists shows nothing
    and is logged.
    """

    meeting_type = blocks.ChoiceBlock(choices=list_choices, label=_("Meeting type"))
    heading = blocks.CharBlock(required=False, max_length=200, label=_("Heading"))
    next_slots = blocks.IntegerBlock(
        default=0,
        min_value=0,
        max_value=MAX_NEXT_SLOTS,
        label=_("Number of next free times"),
        help_text=_("0 shows the calendar."),
    )

    class Meta:
        template = "meetergo/wagtail/booking_block.html"
        icon = "date"
        label = _("Booking")
