"""Commands that do the same for each connection."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError
from django.db import DatabaseError

from django_meetergo.conf import list_configured_connections, list_connection_names
from django_meetergo.exceptions import MeetergoError
from django_meetergo.texts import describe_exception

logger = logging.getLogger(__name__)
MAX_MESSAGE = 200


def choose_connections(name: str | None) -> list[str]:
    """Return the connection of that name, or all. Raises CommandError when there is none."""
    known = list_configured_connections()
    if not list_connection_names():
        raise CommandError("No connection has a credential. Set MEETERGO['API_KEY'].")
    if name is None:
        return known
    if name not in known:
        raise CommandError(f"There is no connection {name!r}. Known: {', '.join(known)}.")
    return [name]


def run_for_each(names: Sequence[str], run: Callable[[str], None]) -> None:
    """Call ``run`` with each connection, also after one of them has failed.

    Raises one CommandError with the messages of all that failed, and exit code 1.
    """
    messages = []
    for name in names:
        try:
            run(name)
        except CommandError as error:
            messages.append(str(error))
        except (MeetergoError, ImproperlyConfigured) as error:
            messages.append(f"{name}: {error}")
        except DatabaseError:
            raise  # the next connection has the same database
        except Exception as error:
            logger.exception("Connection %s failed; going on with the next one.", name)
            messages.append(f"{name}: {describe_exception(error, MAX_MESSAGE)}")
    if messages:
        raise CommandError("\n".join(messages), returncode=1)
