"""A key rotation whose process is killed."""

from tests.harness import rotate


def test_a_killed_rotation_loses_nothing_and_writes_nothing_twice(tmp_path):
    """Twice, at random rows. ``python -m tests.harness rotate`` does it with 100,000 rows."""
    figures = rotate.run(rows=4000, kills=2, seed=1, folder=tmp_path)

    assert figures["violations"] == []
    assert 0 < figures["rotated_at_last"] < 4000
