"""Evaluation at the size of COCO's val2017: ``python -m tests.benchmarks.evaluation``.

Synthetic ground truth (5,000 images, 36,444 boxes, 80 classes) and 500,000 detections are written
by a seed. Then ``ssdlite eval --detections``, with metrics.json, and pycocotools alone read them,
each in a process of its own. Printed are CPU and wall seconds and peak memory of each, the ratios
of their times, and how far their numbers are apart. A developer's tool, run from a clone.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from tests.metrics.synthetic_coco import write_coco_files

IMAGES_BOXES_DETECTIONS = (5_000, 36_444, 500_000)

SSDLITE = "from vision.cli.main import main; raise SystemExit(main())"
PYCOCOTOOLS = """
import json, sys
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
truth = COCO(sys.argv[1])
evaluation = COCOeval(truth, truth.loadRes(sys.argv[2]), "bbox")
evaluation.evaluate()
evaluation.accumulate()
evaluation.summarize()
with open(sys.argv[3], "w") as file:
    json.dump(evaluation.stats.tolist(), file)
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # In another process: the memory of this one would count as that of those it starts.
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            written = pool.submit(write_coco_files, folder, options.seed, *IMAGES_BOXES_DETECTIONS)
            truth, found = map(str, written.result())
        words = ["eval", "--annotations", truth, "--detections", found, "--out", name]
        ratios = []
        for _ in range(options.rounds):
            ours = _measure("ssdlite eval", SSDLITE, [*words, "--overwrite"])
            theirs = _measure("pycocotools", PYCOCOTOOLS, [truth, found, f"{name}/stats.json"])
            ratios.append([b / a for a, b in zip(ours, theirs, strict=True)])
        numbers = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))["coco"]
        expected = json.loads((folder / "stats.json").read_text(encoding="utf-8"))
    del numbers["per_class"]
    apart = max(abs(a - b) for a, b in zip(numbers.values(), expected, strict=True))
    cpu, wall = map(statistics.median, zip(*ratios, strict=True))
    print(f"pycocotools takes {cpu:.1f} times the CPU seconds, {wall:.1f} times the wall seconds")
    print(f"the twelve numbers differ by at most {apart:.1e}; AP {numbers['AP']:.4f}")


def _measure(name: str, code: str, words: list[str]) -> tuple[float, float]:
    """CPU and wall seconds of a Python process; printed with its peak memory."""
    began = time.perf_counter()
    command = [sys.executable, "-c", code, *words]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: S603 - this Python
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - began
    if status:
        raise SystemExit(f"{name} failed")
    cpu = usage.ru_utime + usage.ru_stime
    peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 2**20
    print(f"{name:13} {cpu:6.2f} s CPU  {wall:6.2f} s wall  {peak:6,.0f} MiB peak", flush=True)
    return cpu, wall


if __name__ == "__main__":
    main()
