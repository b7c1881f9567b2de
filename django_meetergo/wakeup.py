"""Wake the background workers when a row has become due.

Not part of the public signals. Services call ``wake_workers``; ``background`` listens and decides which
worker to wake, so that no service imports an entry point.
"""

from collections.abc import Callable

from django.db import transaction
from django.dispatch import Signal

#: Sent after commit, with ``skip_broker``.
work_due = Signal()


def wake_workers(*, skip_broker: bool = False) -> None:
    """Announce, after commit, that a row is due. Best effort: the periodic run finds the row anyway.

    Called several times in one transaction it announces once. ``skip_broker`` wakes a thread of this process
    only and publishes nothing, because the service is waiting for the answer to its webhook.
    """
    announce = announce_locally if skip_broker else announce_everywhere
    if not is_registered(announce):
        transaction.on_commit(announce, robust=True)


def announce_everywhere() -> None:
    work_due.send_robust(sender=None, skip_broker=False)


def announce_locally() -> None:
    work_due.send_robust(sender=None, skip_broker=True)


def is_registered(announce: Callable[[], None]) -> bool:
    """Whether this transaction announces already, whatever becomes of the present savepoint."""
    connection = transaction.get_connection()
    savepoints = set(connection.savepoint_ids)
    return any(
        registered is announce and set(within) <= savepoints
        for within, registered, _robust in connection.run_on_commit
    )
