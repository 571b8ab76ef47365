"""Throughput of detection in a video: ``python -m tests.benchmarks.video W``.

A moving view of a synthetic scene is decoded, detected in, drawn on and encoded: one step after the
other in one thread, one after the other with all threads in the network, and in the pipeline of
``ssdlite detect``. Rounds take the three in turn; medians are printed. The pipeline's bound is the
number of cores over the core time that the first takes of a frame.
"""

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from vision.data.synthetic import render_scene
from vision.detection import CocoIds, Journal, Report, Settings, detect_sources
from vision.detector import Detector
from vision.draw import draw_detections
from vision.media import VideoReader, VideoWriter, find_inputs

SIZE = (720, 1280)
RATE = 25.0


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", type=Path)
    parser.add_argument("--backend", default="openvino")
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    cv2.setNumThreads(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        video = folder / "in.mp4"
        make_video(video, options.frames)
        rows = _measure(options, video, folder, cores)
    core_time = statistics.median(rows["core time"])
    bound = cores / core_time
    print(
        f"{options.frames} frames of {SIZE[1]} x {SIZE[0]}, {options.backend} on {cores} cores,"
        f" {options.rounds} rounds; core time of a frame {1e3 * core_time:.1f} ms, so at best"
        f" {bound:.1f} frames/s"
    )
    for kind in ("one thread", "all threads in the network", "pipeline"):
        rate = statistics.median(rows[kind])
        print(f"{kind:28} {rate:6.1f} frames/s  {rate / bound:.2f} of the bound")


def make_video(path: Path, num_frames: int) -> None:
    """Write a view that moves over a synthetic scene."""
    height, width = SIZE
    scene = render_scene(0, 0, (height // 2, width // 2))
    wide = cv2.resize(scene, (2 * width, 2 * height), interpolation=cv2.INTER_CUBIC)
    with VideoWriter(path, RATE) as writer:
        for number in range(num_frames):
            x = y = 2 * number % height
            writer.write(np.ascontiguousarray(wide[y : y + height, x : x + width]))


def _measure(
    options: argparse.Namespace, video: Path, folder: Path, cores: int
) -> dict[str, list[float]]:
    def load(threads: int, streams: int = 1) -> Detector:
        """Just before its use, since PyTorch has one number of threads for the process."""
        return Detector.load(
            options.weights, backend=options.backend, threads=threads, streams=streams
        )

    rows: dict[str, list[float]] = {}

    def note(kind: str, value: float) -> None:
        rows.setdefault(kind, []).append(value)

    for number in range(options.rounds):
        detector = load(1)
        began, spent = time.perf_counter(), time.process_time()
        _sequential(detector, video, folder / "a.mp4")
        note("core time", (time.process_time() - spent) / options.frames)
        note("one thread", options.frames / (time.perf_counter() - began))
        detector = load(cores)
        began = time.perf_counter()
        _sequential(detector, video, folder / "b.mp4")
        note("all threads in the network", options.frames / (time.perf_counter() - began))
        detector = load(1, cores)
        began = time.perf_counter()
        _pipelined(detector, video, folder / f"out{number}", cores)
        note("pipeline", options.frames / (time.perf_counter() - began))
    return rows


def _sequential(detector: Detector, path: Path, out: Path) -> None:
    with VideoReader(path) as video, VideoWriter(out, video.fps) as writer:
        for frame in video:
            writer.write(_annotated(frame, detector))


def _annotated(frame: UInt8[ndarray, "h w 3"], detector: Detector) -> UInt8[ndarray, "h w 3"]:
    return draw_detections(frame, detector(frame), detector.names)


def _pipelined(detector: Detector, path: Path, out: Path, cores: int) -> None:
    settings = Settings(out, results=(), workers=cores)
    with Journal(out, {}, resume=False) as journal:
        sources = find_inputs([str(path)])
        ids = CocoIds(detector.names)
        detect_sources(sources, detector, settings, journal, ids, Report())


if __name__ == "__main__":
    main()
