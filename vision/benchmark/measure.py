"""Measuring the times, throughput and peak memory of candidates."""

# h w: height and width of an image

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
    """Seconds for each image, in the order in which they were measured.

    Attributes:
        forward: Times of the network alone.
        detect: Times from the decoded image to detections.
    """

    forward: list[float]
    detect: list[float]

    def overhead(self) -> float:
        """Median over the images of the ratio of detect to forward."""
        return statistics.median(d / f for d, f in zip(self.detect, self.forward, strict=True))

    def relative_to(self, other: "Times") -> float:
        """Median over the images of the ratio of forward to the other's forward."""
        pairs = zip(self.forward, other.forward, strict=True)
        return statistics.median(mine / theirs for mine, theirs in pairs)


def measure_times(
    candidates: Mapping[str, LoadedCandidate],
    images: Sequence[Image],
    network_size: tuple[int, int],
    rounds: int,
) -> dict[str, Times]:
    """Time candidates that take turns, so that a machine that slows down slows all of them.

    The first `WARM_UPS` images of a turn are not counted, because threads of the previous
    candidate still run then.

    Args:
        candidates: The candidates by name.
        images: Decoded images in their original size.
        network_size: (height, width) of the network's input; the network alone is timed on images
            of this size.
        rounds: Number of turns of each candidate, of `TURN` images.
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
    """Images per second from decoded image to detections, with one image on each core."""
    loaded = load_candidate(candidate, threads=1, streams=cores)
    list(ordered_map(loaded.detect, images[:WARM_UPS], cores, 2 * cores))
    began = time.perf_counter()
    count = sum(1 for _ in ordered_map(loaded.detect, images, cores, 2 * cores))
    return count / (time.perf_counter() - began)


def peak_memory(candidate: Candidate, image: Image) -> int | None:
    """Peak memory, in bytes, of a new process that loads a candidate and detects a few times.

    Raises:
        ConfigError: If that process is killed or crashes.
    """
    others = multiprocessing.active_children()
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        try:
            return pool.submit(_detect_a_few, candidate, image).result()
        except KeyboardInterrupt:  # The pool would wait for a result that is no longer needed.
            for child in multiprocessing.active_children():
                if child not in others:
                    child.terminate()
            raise
        except BrokenProcessPool as error:
            raise ConfigError(
                f"the process that measures the memory of {candidate.name} has ended abruptly;"
                " close other programs if memory is short"
            ) from error


def _detect_a_few(candidate: Candidate, image: Image) -> int | None:
    loaded = load_candidate(candidate)
    for _ in range(MEMORY_IMAGES):
        loaded.detect(image)
    return peak_of_this_process()


def peak_of_this_process() -> int | None:
    """Peak memory of this process in bytes; None on Windows, which has no module `resource`."""
    if STATUS.exists():  # Linux, on which getrusage includes the peak of the parent process
        (line,) = re.findall(r"VmHWM:\s+(\d+) kB", STATUS.read_text())
        return int(line) * 1024
    if resource is None:
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * unit
