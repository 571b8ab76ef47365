"""Where oneDNN's time in a training step goes, by kind of operation.

``python -m tests.benchmarks.onednn --precision bf16``
"""

import argparse
import os
import re
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from tests.benchmarks.gpu_runs import first_batch
from tests.benchmarks.training import synthetic_run
from vision.engine.step import keep_freed_memory, train_step

PASSES = {
    "forward_training": "forward",
    "forward_inference": "forward",
    "backward_data": "gradient of the map",
    "backward_weights": "gradient of the weights",
}


def main() -> None:
    """Take a step, and print oneDNN's own times of its primitives."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--image-size", type=int, default=320)
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--device", default="cpu", choices=["cpu"])
    options = parser.parse_args()
    keep_freed_memory()
    run = synthetic_run(options, options.precision)
    batch = first_batch(run)
    run.train_mode()
    train_step(run, batch)
    verbose = torch.backends.mkldnn.verbose(torch.backends.mkldnn.VERBOSE_ON)  # type: ignore[no-untyped-call]
    with _stdout_lines() as lines, verbose:
        train_step(run, batch)
    times: dict[str, list[float]] = defaultdict(list)
    for line in lines:
        if match := re.fullmatch(r"onednn_verbose,v1,primitive,exec,cpu,(.*),([\d.e-]+)", line):
            times[_kind(*match[1].split(","))].append(float(match[2]))
    total = sum(map(sum, times.values()))
    print(f"{total:.0f} ms in oneDNN, {torch.get_num_threads()} threads, {options}")
    for kind, found in sorted(times.items(), key=lambda item: -sum(item[1])):
        print(f"{kind:64} {len(found):4} {sum(found):9.1f} ms {sum(found) / total:6.1%}")


def _kind(primitive: str, implementation: str, direction: str, layouts: str, *rest: str) -> str:
    """What a primitive does, in words, with oneDNN's name of the code that it runs."""
    dtype = "bf16" if "bf16" in layouts else "f32"
    if primitive != "convolution":
        return f"{primitive}, {dtype}"
    shape = rest[-1]
    kernel = re.search(r"kh(\d+)", shape)
    stride = re.search(r"sh(\d+)", shape)
    groups = re.search(r"g(\d+)", shape)
    sides = f"{kernel[1] if kernel else 1}x{kernel[1] if kernel else 1}"
    depthwise = "depthwise " if groups and int(groups[1]) > 1 else ""
    words = f"{depthwise}{sides} / {stride[1] if stride else 1}, {PASSES[direction]}"
    return f"{words}, {dtype}, {implementation}"


@contextmanager
def _stdout_lines() -> Iterator[list[str]]:
    """The lines that C code writes to the standard output, filled in at the end."""
    lines: list[str] = []
    sys.stdout.flush()
    kept = os.dup(1)
    with tempfile.TemporaryFile("w+") as file:
        os.dup2(file.fileno(), 1)
        try:
            yield lines
        finally:
            os.dup2(kept, 1)
            os.close(kept)
        file.seek(0)
        lines += file.read().splitlines()


if __name__ == "__main__":
    main()
