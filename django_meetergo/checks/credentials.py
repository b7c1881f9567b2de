"""Checks of keys: of meetergo, of its connections, and for the encryption."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date

from django.conf import settings as django_settings
from django.core.checks import CheckMessage
from django.utils.timezone import localdate

from django_meetergo.checks.messages import make_error, make_warning
from django_meetergo.conf import DEFAULT_CONNECTION, PERSONAL, PLATFORM, SETTING_NAME, Settings

EXPIRES_SOON_DAYS = 14
#: A name is part of the URL of the webhook, and stored in a column of this length.
CONNECTION_NAME = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9_.-]{1,64}")


def check_credentials(settings: Settings) -> Iterator[CheckMessage]:
    if not settings.API_KEY and not settings.CONNECTIONS:
        # No error: images are built, and migrations run, where no credential is at hand.
        yield make_warning(
            "W008",
            f'{SETTING_NAME} has no credential: set "API_KEY".',
            "Create a token at my.meetergo.com/integrations. To develop without an account, run "
            "manage.py meetergo_sandbox: it prints the settings.",
        )
    if settings.API_KEY:
        yield from check_credential("", settings.API_KEY, settings.USER_ID)
    for name, given in settings.CONNECTIONS.items():
        place = f'["CONNECTIONS"]["{name}"]'
        yield from check_connection_name(name)
        yield from check_credential(place, given.get("API_KEY", ""), given.get("USER_ID", ""))


def check_credential(where: str, key: str, user_id: str) -> Iterator[CheckMessage]:
    place = f"{SETTING_NAME}{where}"
    if not key:
        yield make_warning("W008", f'{place} has no "API_KEY".', "Set it, or remove the connection.")
    elif key != "".join(key.split()):
        yield make_error(
            "E004", f'{place}["API_KEY"] contains white space.', "Copy the key without spaces and line ends."
        )
    elif key.startswith(PERSONAL):
        if user_id:
            yield make_error(
                "E005",
                f'{place} has a personal token and a "USER_ID".',
                "A personal token acts as its owner; a user id is refused. Remove USER_ID.",
            )
    elif key.startswith(PLATFORM):
        if not user_id:
            yield make_error(
                "E006",
                f'{place} has a platform key and no "USER_ID".',
                "A platform key acts for a user of the company: set USER_ID to that user's id.",
            )
    else:
        yield make_error(
            "E004",
            f'{place}["API_KEY"] is neither a personal token nor a platform key.',
            f'Personal tokens begin with "{PERSONAL}", platform keys with "{PLATFORM}".',
        )


def check_connection_name(name: str) -> Iterator[CheckMessage]:
    if name == DEFAULT_CONNECTION:
        yield make_error(
            "E027",
            f'{SETTING_NAME}["CONNECTIONS"] has an entry "{name}".',
            'That is the name of the connection of "API_KEY": choose another one.',
        )
    elif not CONNECTION_NAME.fullmatch(name):
        yield make_error(
            "E027",
            f'{SETTING_NAME}["CONNECTIONS"] has an entry {name!r}, which cannot be part of a URL.',
            "Use at most 64 letters, digits, hyphens, dots and underscores.",
        )


def check_expiry(settings: Settings) -> Iterator[CheckMessage]:
    """Warn before a credential expires, by the date of this machine."""
    dated = {f'{SETTING_NAME}["KEY_EXPIRES"]': settings.KEY_EXPIRES}
    for name, given in settings.CONNECTIONS.items():
        dated[f'{SETTING_NAME}["CONNECTIONS"]["{name}"]["KEY_EXPIRES"]'] = given.get("KEY_EXPIRES")
    today = localdate() if django_settings.USE_TZ else date.today()  # noqa: DTZ011 - E021 reports USE_TZ
    for place, day in dated.items():
        if day is not None and (day - today).days <= EXPIRES_SOON_DAYS:
            yield make_warning(
                "W005",
                f"{place}: the credential expires on {day.isoformat()}.",
                "Create a new one at my.meetergo.com, put it into the settings and change the date.",
            )


def check_encryption(settings: Settings) -> Iterator[CheckMessage]:
    from cryptography.fernet import Fernet  # only processes that run checks load it here

    for number, key in enumerate(settings.ENCRYPTION_KEYS):
        try:
            Fernet(key)
        except (ValueError, TypeError):
            yield make_error(
                "E017",
                f'{SETTING_NAME}["ENCRYPTION_KEYS"][{number}] is not a Fernet key.',
                "Create one with cryptography.fernet.Fernet.generate_key().decode().",
            )
