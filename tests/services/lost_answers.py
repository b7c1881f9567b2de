"""What tests of lost answers share."""

from __future__ import annotations

from django_meetergo.sandbox.seed import QUEUE

LIST = "GET /v4/appointment/paginated"


def run_due_after(kit, *seconds):
    for moment in seconds or (3, 20, 60, 60, 60):
        kit.run_due(after=moment)


def find_shared_start(kit, *slugs):
    """Return a start at which the hosts of all these types are free."""
    free = [set(kit.list_free_starts(slug)) for slug in slugs]
    return max(set.intersection(*free))


def set_queue(kit, *user_ids, last):
    [queue] = [one for one in kit.sandbox.state.queues.values() if one.id == QUEUE]
    queue.user_ids, queue.last_user_id = list(user_ids), last
