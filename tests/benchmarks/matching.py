"""CPU time and memory of matching images of few and of many objects.

``python -m tests.benchmarks.matching``; the second time is one call of task-aligned
assignment.
"""

import argparse
import resource
import statistics
import time

import torch

from tests.reference_model import random_predictions
from vision.model import match, prior_boxes
from vision.model.alignment import align
from vision.structures import Target, pack_targets

SMALL, LARGE = (8, 60), (300, 400)
"""Shortest and longest side of an object, in pixels."""
BATCHES = {
    "16 images of 1 object": ([1] * 16, SMALL),
    "16 images of 5": ([5] * 16, SMALL),
    "16 images of 20": ([20] * 16, SMALL),
    "32 images of 10": ([10] * 32, SMALL),
    "15 images of 5, one of 700": ([5] * 15 + [700], SMALL),
    "16 images of 700": ([700] * 16, SMALL),
    "16 images of 700 large ones": ([700] * 16, LARGE),
}
IMAGE_SIZE = 640


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--most", type=int, default=200_000, help="objects of the last image")
    options = parser.parse_args()
    torch.set_num_threads(1)
    priors = prior_boxes([(20, 20), (10, 10), (5, 5), (3, 3), (2, 2), (1, 1)])
    for name, (counts, sides) in BATCHES.items():
        packed = pack_targets([crowd(count, seed, sides) for seed, count in enumerate(counts)])
        times = []
        for _ in range(options.rounds):
            start = time.process_time()
            match(packed, priors)
            times.append(time.process_time() - start)
        predictions = random_predictions(len(counts), len(priors), 0)
        start = time.process_time()
        align(packed, priors, predictions)
        aligned = time.process_time() - start
        print(f"{name:30} {1000 * statistics.median(times):9.1f} ms {1000 * aligned:9.1f} ms")
    before, start = peak_mb(), time.process_time()
    match(pack_targets([crowd(options.most, 0)]), priors)
    seconds = time.process_time() - start
    print(f"1 image of {options.most:,}: {seconds:.1f} s, {peak_mb() - before:.0f} MB more memory")


def crowd(count: int, seed: int, limits: tuple[int, int] = SMALL) -> Target:
    """Objects that are spread over an image, with sides in a range."""
    generator = torch.Generator().manual_seed(seed)
    sides = limits[0] + (limits[1] - limits[0]) * torch.rand(count, 2, generator=generator)
    start = (IMAGE_SIZE - sides) * torch.rand(count, 2, generator=generator)
    labels = torch.zeros(count, dtype=torch.int64)
    return Target(torch.cat([start, start + sides], dim=1), labels, size=(IMAGE_SIZE,) * 2)


def peak_mb() -> float:
    """The largest memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
