"""A full sync whose process is killed."""

from tests.harness import sync


def test_a_killed_full_sync_misses_nothing_and_writes_nothing_twice(tmp_path):
    """Killed three times with SIGKILL, it continues at the page that it had reached."""
    figures = sync.run(appointments=3000, kills=3, seed=1, folder=tmp_path)

    assert figures["violations"] == []
    assert figures["kills"] >= 1
