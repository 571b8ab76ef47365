"""Progress bars with the time left, where there is a terminal and no ``--quiet``."""

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
    """A bar over items, or one without items that its user updates.

    It is written to standard error, and vanishes at its end. Where ``logging.disable`` keeps
    messages of level INFO back, there is none.

    Args:
        items: What to go through.
        text: What is done with them.
        total: Their number, if ``len`` does not tell.
        options: Those of `tqdm`.
    """
    is_quiet = logging.root.manager.disable >= logging.INFO
    values = {"leave": False, "dynamic_ncols": True, "disable": True if is_quiet else None}
    return tqdm(items, text, total, **(values | options))
