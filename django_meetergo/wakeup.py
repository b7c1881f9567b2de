"""Wake the background workers when a row has become due.

Not part of the public signals. Services call ``wake_workers``; ``background`` listens and decides which
worker to wake, so that no service imports an entry point.
"""

from django.db import transaction
from django.dispatch import Signal

#: Sent after commit, with ``skip_broker``.
work_due = Signal()


def wake_workers(*, skip_broker: bool = False) -> None:
    """Announce, after commit, that a row is due. Best effort: the periodic run finds the row anyway.

    ``skip_broker`` wakes a thread of this process only and publishes nothing: meetergo waits for the answer
    to its webhook.
    """

    # A plain closure: Django 5.2 cannot report a functools.partial that fails in here.
    def send() -> None:
        work_due.send_robust(sender=None, skip_broker=skip_broker)

    transaction.on_commit(send, robust=True)
