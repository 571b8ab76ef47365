"""Training on a GPU, checked and timed: ``python -m tests.benchmarks.gpu [--data BCCD]``.

One table, printed line by line. The sections stand in the order of their weight, an error in one
is a line of the table, and a section that would begin after ``--seconds`` is left out.
``--small`` is the same on a CPU with a small network, for trying the script itself.
"""

import argparse
import logging
import platform
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from functools import partial

import torch
import torchvision

from tests.benchmarks import gpu_checks as checks
from tests.benchmarks import gpu_speed as speed
from tests.benchmarks.gpu_runs import Machine, Row

Section = Callable[[], Iterator[Row]]


def main() -> None:
    """Run all sections and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="root of data in VOC's layout with splits train and val")
    parser.add_argument("--small", action="store_true", help="on the CPU, with a small network")
    parser.add_argument("--seconds", type=float, default=290, help="no section begins after that")
    parser.add_argument("--only", nargs="*", help="words of the names of sections to run")
    options = parser.parse_args()
    if not (options.small or torch.cuda.is_available()):
        parser.error("no GPU was found; --small runs a small network on the CPU")
    warnings.simplefilter("ignore")
    logging.disable(logging.INFO)
    machine = Machine(options.small, options.data)
    name = platform.machine() if options.small else torch.cuda.get_device_name()
    print(
        f"torch {torch.__version__}, torchvision {torchvision.__version__}, {name},"
        f" {torch.get_num_threads()} threads",
        flush=True,
    )
    began = time.perf_counter()
    for title, section in _sections(machine).items():
        if options.only and not any(word in title for word in options.only):
            continue
        elapsed = time.perf_counter() - began
        if elapsed > options.seconds:
            print(f"[{elapsed:5.0f} s] {title}: left out, no time", flush=True)
            continue
        print(f"[{elapsed:5.0f} s] {title}", flush=True)
        _print_rows(section)
    print(f"[{time.perf_counter() - began:5.0f} s] end", flush=True)


def _sections(machine: Machine) -> dict[str, Section]:
    """All sections in the order of their weight."""
    large, small = machine.batch_sizes
    functions: dict[str, Callable[[Machine], Iterator[Row]]] = {
        "CPU and device: loss and gradients of one batch": checks.equality,
        "step, not compiled": partial(speed.plain_steps, sizes=(large, small)),
        "waits for the device in a step": checks.waits,
        "graphs: weights after ten steps": checks.graphs,
        f"step, CUDA graphs, batch {small}": partial(speed.graphed_steps, size=small),
        f"step, CUDA graphs, batch {large}": partial(speed.graphed_steps, size=large),
        f"step, compiled, batch {small}": partial(speed.compiled_steps, size=small),
        f"step, compiled, batch {large}": partial(speed.compiled_steps, size=large),
        "short trainings in fp32, bf16 and fp16": checks.trainings,
        "overflows planted into fp16 steps": checks.overflows,
        "bare network, compiled": partial(speed.compiled_bare, size=large),
        "profile of a step": partial(speed.profile, size=large),
        "accumulation": checks.accumulation,
        "average on CPU and device": checks.moving_average,
        "resume after an interruption": checks.resume,
        "torchvision's step": partial(speed.torchvision_step, size=large),
        "SyncBatchNorm under one process": checks.sync_bn,
        "throughput from files": partial(speed.from_files, size=large),
    }
    return {title: partial(function, machine) for title, function in functions.items()}


def _print_rows(section: Section) -> None:
    """Print what a section yields; an error ends the section alone."""
    try:
        for label, value in section():
            print(f"    {label:58} {value}", flush=True)
    except Exception as error:  # noqa: BLE001  whatever it is, the others must run
        reason = (str(error) or "-").strip().splitlines()[0][:300]
        print(f"    FAILED: {type(error).__name__}: {reason}", flush=True)
        print("      " + "      ".join(traceback.format_exc().splitlines(keepends=True)[-5:]))
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


if __name__ == "__main__":
    main()
