"""A full sync that does not live to its end."""

from tests.harness import sync


def test_a_full_sync_that_is_killed_misses_nothing_and_writes_nothing_twice(tmp_path):
    """Killed three times with -9, it goes on at the page it had reached."""
    figures = sync.run(appointments=3000, kills=3, seed=1, folder=tmp_path)

    assert figures["violations"] == []
    assert figures["kills"] >= 1
