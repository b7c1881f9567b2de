"""Handle foreign items in a batch without letting one of them stop the others."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

from django_meetergo.transactions import DATABASE_ERRORS

logger = logging.getLogger(__name__)
Item = TypeVar("Item")


def handle_batch(
    items: Sequence[Item],
    handle: Callable[[Sequence[Item]], object],
    *,
    what: str,
    stop_on: tuple[type[Exception], ...] = (),
) -> list[tuple[Item, Exception]]:
    """Handle all items at once and, when that fails, one by one. Return the failed items with their errors.

    ``handle`` must undo its part when it raises. A lost database and ``stop_on`` are raised, since they say
    nothing about an item. ``what`` names the items in the log.
    """
    stop_on = (*DATABASE_ERRORS, *stop_on)
    if not items:
        return []
    try:
        handle(items)
    except stop_on:
        raise
    except Exception as error:
        if len(items) == 1:
            logger.exception("One of the %s could not be handled; it is skipped.", what)
            return [(items[0], error)]
        logger.warning("A batch of %s failed (%s); they are handled one by one.", what, type(error).__name__)
    else:
        return []
    failed = []
    for item in items:
        failed += handle_batch([item], handle, what=what, stop_on=stop_on)
    return failed
