"""Peak memory of detection: ``python -m tests.benchmarks.peak W FOLDER OUT``.

Detects in a folder with two workers and prints by how many bytes the peak memory grew beyond Python
and PyTorch. A developer's tool, run from a clone; tests also run it as a process to kill.
"""

import sys

from vision.benchmark.measure import peak_of_this_process
from vision.cli.main import main


def growth(weights: str, folder: str, out: str, *words: str) -> int:
    """Detect in a folder; the bytes by which the peak memory of this process grew."""
    before = peak_of_this_process() or 0
    code = main(["detect", folder, "--weights", weights, "--out", out, "--workers=2", *words])
    assert code == 0
    return (peak_of_this_process() or 0) - before


if __name__ == "__main__":
    sys.stdout.write(f"{growth(*sys.argv[1:])}\n")
