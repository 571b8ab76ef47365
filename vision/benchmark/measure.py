"""Timing entrants in turn, and the memory that each takes."""

# h w an image's own height and width

import multiprocessing
import resource
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection

from jaxtyping import UInt8
from numpy import ndarray

from vision.benchmark.contenders import Contender, Entrant, open_contender
from vision.detection import in_order
from vision.images import resize

__all__ = ["Times", "measure_times", "peak_memory", "throughput"]

Image = UInt8[ndarray, "h w 3"]
WARM_UPS = 5
MEMORY_IMAGES = 5


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds of each round.

    Attributes:
        forward: Of the network alone.
        whole: From the decoded image to detections.
    """

    forward: Sequence[float]
    whole: Sequence[float]

    def overhead(self) -> float:
        """Median of whole over forward, round by round."""
        return statistics.median(w / f for w, f in zip(self.whole, self.forward, strict=True))

    def relative_to(self, other: "Times") -> float:
        """Median of the forward over another's, round by round."""
        pairs = zip(self.forward, other.forward, strict=True)
        return statistics.median(mine / theirs for mine, theirs in pairs)


def measure_times(
    contenders: Mapping[str, Contender],
    images: Sequence[Image],
    network_size: tuple[int, int],
    rounds: int,
) -> dict[str, Times]:
    """Times of contenders who take turns, so that a machine that slows down slows all of them.

    Args:
        contenders: By name.
        images: Decoded, in the size that they are detected in; a round takes one.
        network_size: (height, width) of the network, for the forward alone.
        rounds: How many count, after a few that do not.
    """
    small = [resize(image, network_size) for image in images]
    seconds: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in contenders}
    for number in range(WARM_UPS + rounds):
        index = number % len(images)
        for name, contender in contenders.items():
            forward = _seconds(contender.forward, small[index])
            whole = _seconds(contender.detect, images[index])
            if number >= WARM_UPS:
                seconds[name][0].append(forward)
                seconds[name][1].append(whole)
    return {name: Times(*both) for name, both in seconds.items()}


def _seconds(call: Callable[[Image], object], image: Image) -> float:
    began = time.perf_counter()
    call(image)
    return time.perf_counter() - began


def throughput(entrant: Entrant, images: Sequence[Image], cores: int) -> float:
    """Images a second from decoded images, as many at once as there are cores."""
    contender = open_contender(entrant, threads=1, streams=cores)
    list(in_order(contender.detect, images[:WARM_UPS], cores, 2 * cores))
    began = time.perf_counter()
    count = sum(1 for _ in in_order(contender.detect, images, cores, 2 * cores))
    return count / (time.perf_counter() - began)


def peak_memory(entrant: Entrant, image: Image) -> int:
    """Bytes that a fresh process takes at most to load an entrant and detect a few times."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_report_memory, args=(there, entrant, image))
    process.start()
    there.close()
    try:
        return int(here.recv())
    finally:
        process.join()


def _report_memory(connection: Connection, entrant: Entrant, image: Image) -> None:
    contender = open_contender(entrant)
    for _ in range(MEMORY_IMAGES):
        contender.detect(image)
    unit = 1 if sys.platform == "darwin" else 1024
    connection.send(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)
