"""Peak memory of detection: ``python -m tests.benchmarks.peak W FOLDER OUT``.

Detects in a folder with two workers and prints by how many bytes the peak memory grew beyond Python
and PyTorch. A developer's tool, run from a clone; tests also run it as a process to kill.
"""

import sys

from vision.benchmark.measure import peak_of_this_process
from vision.cli.main import main

if __name__ == "__main__":
    weights, folder, out, *words = sys.argv[1:]
    before = peak_of_this_process() or 0
    code = main(["detect", folder, "--weights", weights, "--out", out, "--workers=2", *words])
    sys.stdout.write(f"{(peak_of_this_process() or 0) - before}\n")
    sys.exit(code)
