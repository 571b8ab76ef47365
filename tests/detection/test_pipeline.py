"""The pipeline: order, bounds, errors, and its end."""

import threading
import time
from collections.abc import Iterator

import pytest

from vision.detection import ordered_map


@pytest.mark.parametrize(("workers", "ahead"), [(1, 1), (2, 4), (4, 2), (8, 16)])
def test_results_come_in_the_items_order(workers: int, ahead: int) -> None:
    def work(number: int) -> int:
        time.sleep(0.002 * (number % 3))
        return number * number

    assert list(ordered_map(work, range(40), workers, ahead)) == [n * n for n in range(40)]


def test_no_items_give_no_results() -> None:
    assert not list(ordered_map(str, iter([]), 3, 3))


def test_no_more_is_taken_than_may_wait() -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for number in range(1000):
            taken = number + 1
            yield number

    results = ordered_map(str, items(), 2, 4)
    assert next(results) == "0"
    time.sleep(0.3)
    # The one that came, four that wait, and one that has no room yet.
    assert taken <= 6
    results.close()
    assert taken <= 7


def test_items_are_worked_on_at_once() -> None:
    together = threading.Barrier(3, timeout=10)
    assert len(list(ordered_map(lambda _: together.wait(), range(3), 3, 3))) == 3


def test_an_error_of_the_work_comes_in_its_turn() -> None:
    results = ordered_map(lambda number: 1 // number, [1, 1, 0, 1], 2, 4)
    assert [next(results), next(results)] == [1, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert not [thread for thread in threading.enumerate() if thread.name == "feed"]


def test_an_error_of_the_items_comes_after_what_was_there() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise KeyError("gone")

    results = ordered_map(str, items(), 2, 4)
    assert next(results) == "1"
    with pytest.raises(KeyError, match="gone"):
        next(results)
