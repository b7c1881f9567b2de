"""Print how many snapshots were explored and how each mistake was found: ``python -m tests.proofs.model``."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from tests.proofs.model.environments import BOUNDED, DUPLICATING, MISTAKES, UNBOUNDED
from tests.proofs.model.search import Search


def list_rows(*, with_traces: bool) -> Iterator[tuple[bool, str]]:
    """Yield for each search whether it ended as expected, and a line about it."""
    for environment in (*BOUNDED, *UNBOUNDED, DUPLICATING):
        result = Search(environment).run()
        yield (
            not result.violated,
            f"{result.states:>7}  {environment}: {result.violated or 'every invariant holds'}",
        )
    for mistake in MISTAKES:
        result = Search(mistake.environment, mistake.invariants).run()
        line = f"{result.states:>7}  {mistake} is violated after {len(result.trace)} steps"
        steps = [f"{'':9}{number:>2}. {step}" for number, step in enumerate(result.trace, 1)]
        yield result.violated == mistake.invariant, "\n".join([line, *steps] if with_traces else [line])


def main(arguments: list[str]) -> int:
    """Print the table, with ``--traces`` also the counterexamples. Return 1 after an unexpected result."""
    results = []
    for is_expected, line in list_rows(with_traces="--traces" in arguments):
        results.append(is_expected)
        sys.stdout.write(f"{'  ' if is_expected else '! '}{line}\n")
        sys.stdout.flush()
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
