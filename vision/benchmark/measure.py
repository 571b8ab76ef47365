"""Time candidates in turn, and measure the memory that each takes."""

# h w an image's own height and width

import multiprocessing
import re
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

from jaxtyping import UInt8
from numpy import ndarray

from vision.benchmark.candidates import Candidate, LoadedCandidate, load_candidate
from vision.detection import ordered_map
from vision.errors import ConfigError
from vision.images import resize

try:
    import resource
except ImportError:
    resource = None  # type: ignore[assignment]

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
        detect: From the decoded image to detections.
    """

    forward: list[float]
    detect: list[float]

    def overhead(self) -> float:
        """Median of detect over forward, image by image."""
        return statistics.median(d / f for d, f in zip(self.detect, self.forward, strict=True))

    def relative_to(self, other: "Times") -> float:
        """Median of the forward over another's, image by image."""
        pairs = zip(self.forward, other.forward, strict=True)
        return statistics.median(mine / theirs for mine, theirs in pairs)


def measure_times(
    candidates: Mapping[str, LoadedCandidate],
    images: Sequence[Image],
    network_size: tuple[int, int],
    rounds: int,
) -> dict[str, Times]:
    """Times of candidates that take turns, so that a machine that slows down slows all of them.

    The first images of a turn do not count: threads of the candidate before still run then.

    Args:
        candidates: By name.
        images: Decoded, in their original size.
        network_size: (height, width) of the network, for the forward alone.
        rounds: Turns of each.
    """
    small = [resize(image, network_size) for image in images]
    times: dict[str, Times] = {name: Times([], []) for name in candidates}
    for turn in range(rounds):
        for name, candidate in candidates.items():
            for number in range(WARM_UPS + TURN):
                index = (turn * TURN + number) % len(images)
                forward = _seconds(candidate.forward, small[index])
                detect = _seconds(candidate.detect, images[index])
                if number >= WARM_UPS:
                    times[name].forward.append(forward)
                    times[name].detect.append(detect)
    return times


def _seconds(call: Callable[[Image], object], image: Image) -> float:
    began = time.perf_counter()
    call(image)
    return time.perf_counter() - began


def throughput(candidate: Candidate, images: Sequence[Image], cores: int) -> float:
    """Images a second from decoded images, as many at once as there are cores."""
    loaded = load_candidate(candidate, threads=1, streams=cores)
    list(ordered_map(loaded.detect, images[:WARM_UPS], cores, 2 * cores))
    began = time.perf_counter()
    count = sum(1 for _ in ordered_map(loaded.detect, images, cores, 2 * cores))
    return count / (time.perf_counter() - began)


def peak_memory(candidate: Candidate, image: Image) -> int | None:
    """Peak memory, in bytes, of a new process that loads a candidate and detects a few times.

    Raises:
        ConfigError: If that process fails.
    """
    others = multiprocessing.active_children()
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        try:
            return pool.submit(_detect_a_few, candidate, image).result()
        except KeyboardInterrupt:  # The pool would wait for what nobody needs any more.
            for child in multiprocessing.active_children():
                if child not in others:
                    child.terminate()
            raise
        except BrokenProcessPool as error:
            raise ConfigError(f"{candidate.name} cannot be run in a process of its own") from error


def _detect_a_few(candidate: Candidate, image: Image) -> int | None:
    loaded = load_candidate(candidate)
    for _ in range(MEMORY_IMAGES):
        loaded.detect(image)
    return peak_of_this_process()


def peak_of_this_process() -> int | None:
    """Peak memory of this process in bytes; None on Windows, which has no `resource`."""
    if STATUS.exists():  # Linux, whose getrusage begins with the peak of the parent
        (line,) = re.findall(r"VmHWM:\s+(\d+) kB", STATUS.read_text())
        return int(line) * 1024
    if resource is None:
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * unit
