"""Checks of the settings against what the database holds."""

from __future__ import annotations

from collections.abc import Iterator

from django.core.checks import CheckMessage

from django_meetergo.checks.messages import make_warning
from django_meetergo.conf import SETTING_NAME, Settings, get_settings


def check_slugs() -> Iterator[CheckMessage]:
    """Warn about settings for meeting types that do not exist."""
    from django_meetergo.lookups import read_json_text
    from django_meetergo.models import MeetingType
    from django_meetergo.models.directory import EVERY_SLUG

    columns = "slug", "connection", read_json_text("raw", "slug")
    rows = MeetingType.objects.order_by("slug").values_list(*columns)
    known = {slug: f"{slug} ({connection}: {at_meetergo})" for slug, connection, at_meetergo in rows}
    settings = get_settings()
    unknown = {
        "FORMS": set(settings.FORMS) - set(known),
        "TRANSLATIONS": set(settings.TRANSLATIONS) - set(known),
        "BOOK_AT_MEETERGO": set(settings.BOOK_AT_MEETERGO) - {EVERY_SLUG, *known},
        # These are slugs at meetergo; the others are those of this site.
        "MEETING_TYPES": list_limits(settings) - {at_meetergo for *_, at_meetergo in rows},
    }
    for key, slugs in unknown.items() if known else ():
        for slug in sorted(slugs):
            yield make_warning(
                "W011",
                f'{SETTING_NAME}["{key}"] names "{slug}", which is no meeting type of this site.',
                f"The slugs are, with connection and slug at meetergo: {', '.join(known.values())}.",
            )


def list_limits(settings: Settings) -> set[str]:
    """Return the slugs to which the connections are limited."""
    entries = (entry.get("MEETING_TYPES", ()) for entry in settings.CONNECTIONS.values())
    return {slug for slugs in (settings.MEETING_TYPES, *entries) for slug in slugs}


def check_removed_connections() -> Iterator[CheckMessage]:
    """Warn about connections that were removed from the settings and still have rows that matter."""
    from django_meetergo.services.health import list_removed_connections

    for name in list_removed_connections():
        yield make_warning(
            "W019",
            f'{SETTING_NAME}["CONNECTIONS"] has no connection {name!r}, and this site has rows of it.',
            "Its meeting types are not offered and its appointments cannot be changed. Add it again "
            "under this name; if it was removed on purpose, silence this check.",
        )
