"""Detect in a folder and print by how many bytes memory grew: a process for tests to kill."""

import sys

from vision.benchmark.measure import peak_of_this_process
from vision.cli.main import main

if __name__ == "__main__":
    weights, folder, out, *words = sys.argv[1:]
    before = peak_of_this_process()
    code = main(["detect", folder, "--weights", weights, "--out", out, "--workers=2", *words])
    sys.stdout.write(f"{peak_of_this_process() - before}\n")
    sys.exit(code)
