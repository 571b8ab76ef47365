"""Work on a stream of items in several threads, with the results in order."""

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

__all__ = ["ordered_map"]

Item = TypeVar("Item")
Result = TypeVar("Result")

_POLL_SECONDS = 0.1


def ordered_map(
    work: Callable[[Item], Result], items: Iterable[Item], workers: int, ahead: int
) -> Iterator[Result]:
    """The result of each item, in the items' order, while later ones are already worked on.

    One thread of its own takes the items, so that decoding a video overlaps with the work; the
    caller's thread is free for what comes after. Closing the iterator ends all.

    Args:
        work: Called in ``workers`` threads.
        items: Taken in one other thread.
        workers: Items worked on at once.
        ahead: Items that wait, worked on or done, before no more are taken; memory holds these
            and one more.

    Raises:
        BaseException: What taking an item or the work on it raised, when its turn comes.
    """
    line: _Line[Result] = _Line(ahead)
    with ThreadPoolExecutor(workers, thread_name_prefix="detect") as executor:
        feeder = threading.Thread(target=_feed, args=(line, executor, work, items), name="feed")
        feeder.start()
        try:
            yield from line
        finally:
            line.is_stopped.set()
            feeder.join()
            executor.shutdown(cancel_futures=True)


class _Line(Generic[Result]):
    """A bounded queue of results to come."""

    def __init__(self, length: int) -> None:
        self.is_stopped = threading.Event()
        self._waiting: queue.Queue[Future[Result] | None] = queue.Queue(length)

    def put(self, future: Future[Result] | None) -> bool:
        """Wait for room; False if nobody wants the rest."""
        while not self.is_stopped.is_set():
            try:
                self._waiting.put(future, timeout=_POLL_SECONDS)
            except queue.Full:
                continue
            return True
        return False

    def __iter__(self) -> Iterator[Result]:
        while (future := self._waiting.get()) is not None:
            yield future.result()


def _feed(
    line: _Line[Result],
    executor: ThreadPoolExecutor,
    work: Callable[[Item], Result],
    items: Iterable[Item],
) -> None:
    """Take the items and line up the work on them; then None."""
    try:
        for item in items:
            if not line.put(executor.submit(work, item)):
                return
    except BaseException as error:  # noqa: BLE001 - raised in the caller's thread
        failed: Future[Result] = Future()
        failed.set_exception(error)
        line.put(failed)
    line.put(None)
