"""Progress bars with the remaining time, shown on a terminal without ``--quiet``."""

import logging
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm


def progress(
    items: Iterable[Any] | None,
    text: str,
    total: int | None = None,
    **options: Any,  # noqa: ANN401 - tqdm's own
) -> "tqdm[Any]":
    """Return a progress bar over items, or, without items, a bar that the caller updates.

    It is written to standard error, and disappears at the end. There is no bar while
    ``logging.disable`` suppresses messages of level INFO.

    Args:
        items: Items to iterate over, or None.
        text: Description of the work, shown before the bar.
        total: Number of items, if ``len`` cannot tell it.
        options: Further arguments of `tqdm`.
    """
    is_quiet = logging.root.manager.disable >= logging.INFO
    values = {"leave": False, "dynamic_ncols": True, "disable": True if is_quiet else None}
    return tqdm(items, text, total, **(values | options))
