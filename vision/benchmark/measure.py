"""Timing entrants in turn, and the memory that each takes."""

# h w an image's own height and width

import multiprocessing
import re
import resource
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from jaxtyping import UInt8
from numpy import ndarray

from vision.benchmark.contenders import Contender, Entrant, open_contender
from vision.detection import ordered_map
from vision.errors import ConfigError
from vision.images import resize

__all__ = ["Times", "measure_times", "peak_memory", "throughput"]

Image = UInt8[ndarray, "h w 3"]
TURN = 10
WARM_UPS = 3
MEMORY_IMAGES = 5
STATUS = Path("/proc/self/status")


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds of each image.

    Attributes:
        forward: Of the network alone.
        whole: From the decoded image to detections.
    """

    forward: list[float]
    whole: list[float]

    def overhead(self) -> float:
        """Median of whole over forward, image by image."""
        return statistics.median(w / f for w, f in zip(self.whole, self.forward, strict=True))

    def relative_to(self, other: "Times") -> float:
        """Median of the forward over another's, image by image."""
        pairs = zip(self.forward, other.forward, strict=True)
        return statistics.median(mine / theirs for mine, theirs in pairs)


def measure_times(
    contenders: Mapping[str, Contender],
    images: Sequence[Image],
    network_size: tuple[int, int],
    rounds: int,
) -> dict[str, Times]:
    """Times of contenders who take turns, so that a machine that slows down slows all of them.

    A turn is several images long, of which the first do not count: the threads of whose turn it
    was before are still about.

    Args:
        contenders: By name.
        images: Decoded, in the size that they are detected in.
        network_size: (height, width) of the network, for the forward alone.
        rounds: Turns of each.
    """
    small = [resize(image, network_size) for image in images]
    times: dict[str, Times] = {name: Times([], []) for name in contenders}
    for turn in range(rounds):
        for name, contender in contenders.items():
            for number in range(WARM_UPS + TURN):
                index = (turn * TURN + number) % len(images)
                forward = _seconds(contender.forward, small[index])
                whole = _seconds(contender.detect, images[index])
                if number >= WARM_UPS:
                    times[name].forward.append(forward)
                    times[name].whole.append(whole)
    return times


def _seconds(call: Callable[[Image], object], image: Image) -> float:
    began = time.perf_counter()
    call(image)
    return time.perf_counter() - began


def throughput(entrant: Entrant, images: Sequence[Image], cores: int) -> float:
    """Images a second from decoded images, as many at once as there are cores."""
    contender = open_contender(entrant, threads=1, streams=cores)
    list(ordered_map(contender.detect, images[:WARM_UPS], cores, 2 * cores))
    began = time.perf_counter()
    count = sum(1 for _ in ordered_map(contender.detect, images, cores, 2 * cores))
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
    except EOFError as error:
        raise ConfigError(f"{entrant.name} cannot be run in a process of its own") from error
    finally:
        process.join()


def _report_memory(connection: Connection, entrant: Entrant, image: Image) -> None:
    contender = open_contender(entrant)
    for _ in range(MEMORY_IMAGES):
        contender.detect(image)
    connection.send(peak_of_this_process())


def peak_of_this_process() -> int:
    """Bytes of memory that this process has had at most."""
    if STATUS.exists():  # Linux, whose getrusage begins with what the parent had
        (line,) = re.findall(r"VmHWM:\s+(\d+) kB", STATUS.read_text())
        return int(line) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
