"""Process a stream of items in several threads, with the results in order."""

import itertools
import queue
import threading
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

AHEAD = 2
"""Maximum number of batches per worker that are waiting, in progress, or done but not consumed."""
_POLL_SECONDS = 0.1


def map_batches(
    work: Callable[[list[Item]], Iterable[Result]],
    items: Iterable[Item],
    size: int,
    workers: int,
    stopped: threading.Event | None = None,
) -> Generator[Result]:
    """Process items in batches of ``size``, and yield all results in order; see `ordered_map`."""
    remaining = iter(items)
    batches = iter(lambda: list(itertools.islice(remaining, size)), [])  # until one is empty
    for results in ordered_map(work, batches, workers, AHEAD * workers, stopped):
        yield from results


def ordered_map(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    workers: int,
    ahead: int,
    stopped: threading.Event | None = None,
) -> Generator[Result]:
    """Yield the result of each item, in the items' order, while later items are processed.

    A separate thread iterates over the items, so that decoding a video overlaps with the work, and
    the caller's thread is free for the results. Closing the iterator stops all threads.

    Args:
        work: Called with each item, in ``workers`` threads.
        items: Iterated over in one other thread.
        workers: Number of items processed at the same time.
        ahead: Maximum number of items that are waiting, in progress, or done but not consumed;
            memory holds these and one more.
        stopped: Event that is set when no more items are needed; ``items`` may wait for it.

    Raises:
        BaseException: An error of ``items`` or ``work``, at the position of the item.
    """
    pending: _Queue[Result] = _Queue(ahead, stopped)
    with ThreadPoolExecutor(workers, thread_name_prefix="detect") as executor:
        feeder = threading.Thread(target=_feed, args=(pending, executor, work, items), name="feed")
        feeder.start()
        try:
            yield from pending
        finally:
            pending.is_stopped.set()
            feeder.join()
            executor.shutdown(cancel_futures=True)


class _Queue(Generic[Result]):
    """A bounded queue of future results."""

    def __init__(self, length: int, stopped: threading.Event | None) -> None:
        self.is_stopped = threading.Event() if stopped is None else stopped
        self._waiting: queue.Queue[Future[Result] | None] = queue.Queue(length)

    def put(self, future: Future[Result] | None) -> bool:
        """Add a future once there is room; return False if the consumer has stopped."""
        while not self.is_stopped.is_set():
            try:
                self._waiting.put(future, timeout=_POLL_SECONDS)
            except queue.Full:
                continue
            return True
        return False

    def __iter__(self) -> Generator[Result]:
        while (future := self._waiting.get()) is not None:
            yield future.result()


def _feed(
    pending: _Queue[Result],
    executor: ThreadPoolExecutor,
    work: Callable[[Item], Result],
    items: Iterable[Item],
) -> None:
    """Submit the work on each item, then put None as the end."""
    try:
        for item in items:
            if not pending.put(executor.submit(work, item)):
                return
    except BaseException as error:  # noqa: BLE001 - raised in the caller's thread
        failed: Future[Result] = Future()
        failed.set_exception(error)
        pending.put(failed)
    pending.put(None)
