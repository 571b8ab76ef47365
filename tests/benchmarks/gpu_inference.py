"""Detection on a GPU, checked and timed: ``python -m tests.benchmarks.gpu_inference [--data DIR]``.

``DIR`` has photographs, in folders of any depth; without it synthetic scenes are detected in. An
error in a section is a line of its table, and all ends after ``--seconds``. ``--small`` is the same
on a CPU, for trying the script itself: its batches have fixed sizes, but nothing is recorded.
"""

import argparse
import logging
import platform
import signal
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from typing import Any, TypeAlias

import numpy as np
import torch
from jaxtyping import UInt8
from numpy import ndarray
from torch.nn import functional

import vision.boxes as box_ops
from tests.benchmarks.gpu_runs import Row, wait
from tests.detectors import batched, detector_of
from vision.data.synthetic import read_synthetic
from vision.detections import Detections
from vision.detector import Detector
from vision.images import read_image, resize
from vision.runtime import Precision, RuntimeOptions
from vision.runtime.torch_backend import TorchSession
from vision.weights import SHIPPED, load_weights

Images: TypeAlias = list[UInt8[ndarray, "h w 3"]]
Section: TypeAlias = Callable[[], Iterator[Row]]
TOLERANCES: dict[Precision, float] = {"fp32": 1e-3, "bf16": 0.05, "fp16": 0.01}
SCORE = 0.1


class Machine:
    """What is detected in, and detectors of the shipped weights.

    Args:
        is_small: On the CPU.
        images: At least 64.
    """

    def __init__(self, images: Images, *, is_small: bool) -> None:
        self.images, self.is_small = images, is_small
        self.precisions: list[Precision] = ["fp32"] if is_small else ["fp32", "bf16", "fp16"]
        self._saved = load_weights(SHIPPED["voc"])

    def detector(
        self, precision: Precision = "fp32", device: str = "cuda", *, graphs: bool = True
    ) -> Detector:
        """A detector, on the CPU if the machine is small."""
        options = RuntimeOptions("torch", "cpu" if self.is_small else device, precision)
        detector = detector_of(self._saved, score=SCORE, options=options)
        session = detector.session
        assert isinstance(session, TorchSession)
        if not graphs or device == "cpu":
            session.batches = None
        elif self.is_small:
            batched(detector)
        return detector

    def list_of(self, count: int) -> Images:
        """So many images, some of them several times."""
        return list(islice(cycle(self.images), count))


def differences(found: list[Detections], expected: list[Detections], tolerance: float) -> str:
    """How two runs of the same images differ."""
    unmatched, scores, boxes, count, wrong = 0, 0.0, 0.0, 0, 0
    for one, other in zip(found, expected, strict=True):
        count += len(other)
        wrong += abs(len(one) - len(other))
        free = torch.ones(len(one), dtype=torch.bool)
        for box, score, label in zip(other.boxes, other.scores, other.labels, strict=True):
            ious = box_ops.iou(box[None], one.boxes)[0] * (free & (one.labels == label))
            if not len(ious) or ious.max() < 0.5:
                unmatched += int(score > SCORE + tolerance)
                continue
            best = int(ious.argmax())
            free[best] = False
            scores = max(scores, float((one.scores[best] - score).abs()))
            boxes = max(boxes, float((one.boxes[best] - box).abs().max()))
    return (
        f"{count} detections, {unmatched} without a counterpart ({wrong} more or less in all),"
        f" scores differ by {scores:.1e}, boxes by {boxes:.1e} pixels"
    )


def equality(machine: Machine) -> Iterator[Row]:
    """Detections here and on the CPU; on the CPU of a small machine, with batches and without."""
    images = machine.list_of(12 if machine.is_small else 70)  # 64 and 6, which are filled up to 8
    expected = machine.detector(device="cpu")(images)
    for precision in machine.precisions:
        for graphs in (True, False):
            detector = machine.detector(precision, graphs=graphs)
            label = f"{precision}, {'graphs' if graphs else 'eager'}"
            yield label, differences(detector(images), expected, TOLERANCES[precision])
            yield "", recorded(detector)
    one_by_one = machine.detector()
    found = [one_by_one(image) for image in images]
    yield "fp32, graphs, one by one", differences(found, expected, TOLERANCES["fp32"])
    for name, change in (
        ("all candidates", {"score_threshold": 0.005}),
        ("soft-NMS", {"suppression": "soft_nms"}),
    ):
        pair = []
        for device in ("cpu", "cuda"):
            detector = machine.detector(device=device)
            detector.post_process = replace(detector.post_process, **change)
            detector.score = None if "score_threshold" in change else SCORE
            detector(images[:1])  # from which on there is room for all candidates
            pair.append(detector(images[:20]))
        yield f"fp32, graphs, {name}", differences(pair[1], pair[0], TOLERANCES["fp32"])
        yield "", recorded(detector)


def recorded(detector: Detector) -> str:
    """Which batches a detector has recorded."""
    session = detector.session
    assert isinstance(session, TorchSession)
    if session.batches is None:
        return "nothing recorded"
    keys = [f"{size} images, {width or 'all'}" for _, size, width in session.batches._recorded]
    return f"recorded: {'; '.join(keys)} candidates{' - OFF' * session.batches._is_off}"


def times(machine: Machine) -> Iterator[Row]:
    """Milliseconds of a list of images in memory, from pixels of any size to detections."""
    for precision in machine.precisions:
        for graphs in (True, False):
            detector = machine.detector(precision, graphs=graphs)
            begin = time.perf_counter()
            cells = []
            for count in (1, 16, 64, 256)[: 2 if machine.is_small else 4]:
                images = machine.list_of(count)
                seconds = timed(partial(detector, images), 0.6)
                cells.append(f"{count}: {1000 * seconds:7.2f} ms {count / seconds:6.0f}/s")
            yield f"{precision}, {'graphs' if graphs else 'eager'}", "  ".join(cells)
            if graphs and torch.cuda.is_available():
                used = torch.cuda.memory_reserved() / 2**30
                yield "", f"{time.perf_counter() - begin:.1f} s in all; {used:.1f} GiB reserved"


def resized(machine: Machine) -> Iterator[Row]:
    """The same from images of the network's size, and what resizing takes and where."""
    size = machine.detector().image_size
    small = [resize(image, size) for image in machine.list_of(16 if machine.is_small else 64)]
    batch = torch.from_numpy(np.stack(small)).permute(0, 3, 1, 2)
    sizes = [size] * len(small)
    for precision in machine.precisions:
        for graphs in (True, False):
            detector = machine.detector(precision, graphs=graphs)
            cells = []
            for count in (1, 16, 64):
                run = partial(detector.detect_batch, batch[:count], sizes[:count])
                if count <= len(small):
                    cells.append(f"{count}: {1000 * timed(run, 0.4):7.2f} ms")
            yield f"{precision}, {'graphs' if graphs else 'eager'}, resized", "  ".join(cells)
    images = machine.list_of(len(small))
    on_cpu = timed(lambda: [resize(image, size) for image in images], 0.4)
    yield "resizing with OpenCV, one thread", f"{1000 * on_cpu:.2f} ms"
    device = "cpu" if machine.is_small else "cuda"

    def on_device() -> None:
        for image in images:
            pixels = torch.from_numpy(image).to(device).permute(2, 0, 1)[None].float()
            functional.interpolate(pixels, size, mode="bilinear", antialias=False)
        wait()

    yield "copying and resizing there, in float", f"{1000 * timed(on_device, 0.4):.2f} ms"


def timed(function: Callable[[], object], limit: float) -> float:
    """Median of the seconds of a call, of as many as ``limit`` seconds have room for."""
    for _ in range(2):
        function()
    wait()
    found, start = list[float](), time.perf_counter()
    while len(found) < 3 or time.perf_counter() - start < limit:
        begin = time.perf_counter()
        function()
        wait()
        found.append(time.perf_counter() - begin)
    return median(found)


def profile(machine: Machine) -> Iterator[Row]:
    """What a call with one image consists of."""
    image = machine.images[0]
    for precision in machine.precisions[:2]:
        for graphs in (True, False):
            detector = machine.detector(precision, graphs=graphs)
            for _ in range(5):
                detector(image)
            yield from _profile(detector, image, f"{precision}, {'graphs' if graphs else 'eager'}")
    detector = machine.detector()
    parts: dict[str, Callable[[], object]] = {
        f"prepare {image.shape[1]} x {image.shape[0]}": lambda: detector._prepare(image),
        "prepare and start": lambda: detector._start([image], SCORE),
        "prepare, start and wait": lambda: detector(image),
    }
    for name, part in parts.items():
        yield f"fp32, graphs: {name}", f"{1000 * timed(part, 0.3):.3f} ms"


def _profile(detector: Detector, image: UInt8[ndarray, "h w 3"], label: str) -> Iterator[Row]:
    calls = 5
    with torch.profiler.profile() as found:
        for _ in range(calls):
            detector(image)
        wait()
    rows: list[Any] = list(found.key_averages())
    kinds = {"CPU": "self_cpu_time_total", "GPU": "self_device_time_total"}
    used = {
        name: sum(getattr(row, kind) for row in rows) / calls / 1000 for name, kind in kinds.items()
    }
    yield label, ", ".join(f"{name} {value:.2f} ms" for name, value in used.items())
    api = [row for row in rows if row.key.startswith(("cuda", "Memcpy"))]
    yield "", ", ".join(f"{row.key} {row.count / calls:.1f}" for row in api)[:300]
    kernels = sorted(rows, key=lambda row: row.self_device_time_total, reverse=True)[:6]
    for row in kernels if torch.cuda.is_available() else []:
        per_call = row.self_device_time_total / calls / 1000
        yield f"    {row.key[:60]}", f"{per_call:.3f} ms, {row.count / calls:.0f} calls"


def threads(machine: Machine) -> Iterator[Row]:
    """One detector in four threads, image by image."""
    detector, images = machine.detector(), machine.list_of(8 if machine.is_small else 200)
    expected = [detector(image) for image in images]
    start = time.perf_counter()
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(detector, images))
    seconds = time.perf_counter() - start
    yield f"{len(images) / seconds:.0f} images/s", differences(found, expected, 1e-3)


def compiled(machine: Machine) -> Iterator[Row]:
    """The network by ``torch.compile(mode="reduce-overhead")``, with post-processing as it was."""
    if machine.is_small:
        yield "torch.compile", "left out on the CPU"
        return
    detector = machine.detector("bf16", graphs=False)
    session: Any = detector.session
    session._network = torch.compile(session._network, mode="reduce-overhead", dynamic=False)
    start = time.perf_counter()
    detector(machine.images[0])
    yield "bf16, first call", f"{time.perf_counter() - start:.1f} s"
    seconds = timed(partial(detector, machine.images[0]), 0.6)
    yield "bf16, torch.compile(reduce-overhead)", f"1: {1000 * seconds:7.2f} ms"


def read(folder: str | None, count: int) -> Images:
    """Photographs, or synthetic scenes."""
    if folder is None:
        return [record.read() for record in read_synthetic(count, 0, (375, 500)).records]
    paths = [path for path in sorted(Path(folder).rglob("*")) if path.suffix.lower() == ".jpg"]
    return [read_image(path) for path in paths[:count]]


def main() -> None:
    """Run all sections and print their tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="folder of photographs")
    parser.add_argument("--small", action="store_true", help="on the CPU")
    parser.add_argument("--seconds", type=float, default=85, help="after which all ends")
    options = parser.parse_args()
    if not (options.small or torch.cuda.is_available()):
        parser.error("no GPU was found; --small runs a small network on the CPU")
    warnings.simplefilter("ignore")
    began = time.perf_counter()
    name = platform.machine() if options.small else torch.cuda.get_device_name()
    print(f"torch {torch.__version__}, {name}, {torch.get_num_threads()} threads", flush=True)
    images = read(options.data, 16 if options.small else 128)
    print(f"{len(images)} images, the first of {images[0].shape[1]} x {images[0].shape[0]}")
    machine = Machine(images, is_small=options.small)
    signal.signal(signal.SIGALRM, _stop)
    for section in (equality, times, profile, resized, threads, compiled):
        elapsed = time.perf_counter() - began
        print(f"[{elapsed:5.0f} s] {str(section.__doc__).splitlines()[0]}", flush=True)
        signal.alarm(max(1, int(options.seconds - elapsed)))
        _print_rows(partial(section, machine))
    signal.alarm(0)
    print(f"[{time.perf_counter() - began:5.0f} s] end", flush=True)


def _stop(*_: object) -> None:
    raise TimeoutError("no time left")


def _print_rows(section: Section) -> None:
    """Print what a section yields; an error ends the section alone."""
    try:
        for label, value in section():
            print(f"    {label:42} {value}", flush=True)
    except Exception as error:  # noqa: BLE001  whatever it is, the others must run
        reason = (str(error) or "-").strip().splitlines()[0][:300]
        print(f"    FAILED: {type(error).__name__}: {reason}", flush=True)
        print("      " + "      ".join(traceback.format_exc().splitlines(keepends=True)[-7:]))


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    main()
