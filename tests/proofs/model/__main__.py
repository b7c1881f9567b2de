"""``python -m tests.proofs.model``: how much was seen, and how each mistake was caught."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from tests.proofs.model.search import Search
from tests.proofs.model.worlds import BOUNDED, MISTAKES, REPEATING, UNBOUNDED


def list_rows(*, with_traces: bool) -> Iterator[tuple[bool, str]]:
    """Whether each walk ended as it should, and a line about it."""
    for setting in (*BOUNDED, *UNBOUNDED, REPEATING):
        seen = Search(setting).run()
        yield not seen.broken, f"{seen.states:>7}  {setting}: {seen.broken or 'keeps every promise'}"
    for mistake in MISTAKES:
        seen = Search(mistake.setting, mistake.promises).run()
        line = f"{seen.states:>7}  {mistake} is broken after {len(seen.trace)} steps"
        steps = [f"{'':9}{number:>2}. {step}" for number, step in enumerate(seen.trace, 1)]
        yield seen.broken == mistake.promise, "\n".join([line, *steps] if with_traces else [line])


def main(arguments: list[str]) -> int:
    """Print the table, with ``--traces`` the counterexamples too; 1 when a walk did not end as it should."""
    well = True
    for good, line in list_rows(with_traces="--traces" in arguments):
        well = well and good
        sys.stdout.write(f"{'  ' if good else '! '}{line}\n")
        sys.stdout.flush()
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
