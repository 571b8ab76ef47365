"""Memory of ``ssdlite detect`` over many pictures and over a long film.

``python -m tests.benchmarks.memory pictures`` detects in 10,000 pictures, ``... film`` in a film of
90,000 frames, an hour at 25 a second, both of 64 x 48 pixels, and prints the process's memory as
time passes. For Linux.
"""

import argparse
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from vision.cli.main import main
from vision.config import Config, ModelConfig
from vision.media import VideoWriter, write_image
from vision.model import build_model
from vision.weights import save_weights

POINTS = (10, 25, 50, 75, 100)
"""Percent of the time at which memory is printed."""


def measure() -> None:
    """Detect and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=("pictures", "film"))
    parser.add_argument("--count", type=int, help="pictures or frames (default: 10000 or 90000)")
    options = parser.parse_args()
    count = options.count or {"pictures": 10_000, "film": 90_000}[options.kind]
    with tempfile.TemporaryDirectory(prefix="ssdlite-memory-") as name:
        folder = Path(name)
        config = Config(model=ModelConfig(image_size=(128, 128), width_mult=0.25))
        weights = folder / "w.safetensors"
        save_weights(weights, build_model(config.model, 2), config, ["cat", "dog"], {})
        make = {"pictures": write_pictures, "film": write_film}[options.kind]
        source, out = make(folder, count), folder / "out"
        words = ["detect", str(source), "--weights", str(weights), "--out", str(out)]
        with sampled() as samples:
            code = main([*words, "--workers=1", "--threads=1"])
    for point in POINTS:
        sample = samples[(len(samples) - 1) * point // 100]
        sys.stdout.write(f"{point:3}% of the time: {sample:6.1f} MB\n")
    sys.exit(code)


def write_pictures(folder: Path, count: int) -> Path:
    """Names of one picture."""
    first = folder / "pictures" / "00000.png"
    write_image(first, np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8))
    for index in range(1, count):
        os.link(first, first.with_stem(f"{index:05}"))
    return first.parent


def write_film(folder: Path, count: int) -> Path:
    """A film of a few frames in turn."""
    frames = np.random.default_rng(0).integers(0, 255, (4, 48, 64, 3), np.uint8)
    with VideoWriter(folder / "film.mp4", 25.0) as writer:
        for index in range(count):
            writer.write(frames[index % len(frames)])
    return folder / "film.mp4"


@contextmanager
def sampled() -> Iterator[list[float]]:
    """The memory of this process, taken twice a second within, in MB."""
    samples: list[float] = []
    is_over = threading.Event()
    page = os.sysconf("SC_PAGE_SIZE") / 1e6

    def sample() -> None:
        while not is_over.wait(0.5):
            samples.append(int(Path("/proc/self/statm").read_text().split()[1]) * page)

    thread = threading.Thread(target=sample)
    thread.start()
    yield samples
    is_over.set()
    thread.join()


if __name__ == "__main__":
    measure()
