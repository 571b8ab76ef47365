"""Short training runs on drawn scenes, and what they leave behind."""

import csv
import json
import multiprocessing
import multiprocessing.context
import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TypeVar
from unittest.mock import patch

import torch
from safetensors.torch import load_file
from torch import Tensor

from vision.cli.main import main
from vision.config import Config, config_from_dict, dump_config
from vision.engine import train
from vision.model.backbones import mobilenet_v2

T = TypeVar("T")

ALIGNED = (
    *("loss.assignment=tal", "loss.classification=quality", "loss.localisation=giou"),
    *("model.neck=fpn", "model.scores=sigmoid"),
)
"""Overrides for task-aligned assignment and its losses, with the pyramid as in ``bccd_fpn``."""


def scenes(num_images: int = 8, seed: int = 0) -> dict[str, Any]:
    """A source of drawn scenes of the size that `run_config` trains at."""
    return {"format": "synthetic", "num_images": num_images, "seed": seed, "image_size": 128}


def run_config(*overrides: str) -> Config:
    """A run of two epochs of two steps on the least network, evaluated on its training data.

    In float32: ``auto`` is bf16 on some CPUs, whose runs take longer and end otherwise.
    """
    values = {
        "model": {"image_size": 128, "width_mult": 0.25},
        "data": {"train": scenes(), "val": scenes()},
        "train": {"epochs": 2, "batch_size": 4, "workers": 0, "precision": "fp32"},
    }
    return config_from_dict(values, overrides)


def few_blocks() -> AbstractContextManager[object]:
    """MobileNetV2 has few blocks, of each kind, where what takes time is the number of layers."""
    stages = [(1, 16, 1, 2), (6, 24, 2, 2), (6, 32, 1, 2), (6, 64, 1, 2)]
    return patch.multiple(mobilenet_v2, STAGES=stages, FIRST_OF_STRIDE_16=4, FIRST_OF_STRIDE_32=5)


def write_run_config(path: Path, *overrides: str) -> str:
    """The same as a YAML file, for a command line."""
    path.write_text(dump_config(run_config(*overrides)), encoding="utf-8")
    return str(path)


def forking() -> multiprocessing.context.ForkServerContext:
    """A server that has imported the package forks processes, so that none takes seconds to start.

    There is one server for the process that calls.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.runs", "tests.detectors", "vision.benchmark"])
    return context


def exit_code(target: Callable[..., object], *args: object) -> int | None:
    """How a process of its own ends that calls a function; negative for a signal."""
    process = forking().Process(target=target, args=args)
    process.start()
    process.join()
    return process.exitcode


def result_of(function: Callable[..., T], *args: object) -> T:
    """What a function gives, or raises, in a process of its own."""
    with ProcessPoolExecutor(1, forking()) as pool:
        return pool.submit(function, *args).result()


def command_with(
    words: Sequence[str], stdout: str | None, stderr: str | None, **environment: str
) -> None:
    """Run a command as a shell starts it with other streams; for a process of its own.

    Args:
        words: The command.
        stdout: A file; ``|`` for a pipe that nobody reads, None for no stream.
        stderr: The same.
        environment: Variables to set.
    """
    torch.set_num_threads(1)
    os.environ.update(environment)
    for number, name, path in ((1, "stdout", stdout), (2, "stderr", stderr)):
        os.close(number)
        if path == "|":
            read, write = os.pipe()
            os.close(read)
            os.dup2(write, number)
        elif path is not None:
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        stream = None if path is None else os.fdopen(number, "w", closefd=False)
        setattr(sys, name, stream)
    sys.exit(main(words))


def resume_on_one_thread(config: Config, folder: Path) -> None:
    """Train or resume, for a process of its own."""
    torch.set_num_threads(1)
    train(config, folder, resume=True)


def read_log(folder: Path) -> list[dict[str, str]]:
    """A run's log without its speed, as text: equal only if each number is."""
    with (folder / "log.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        speed = row.pop("images_per_second")
        assert row["epoch"] == "0" or float(speed) > 0
    return rows


def same_weights(one: Path, other: Path) -> bool:
    """Whether the tensors of two weights files are the same, bit for bit."""
    left, right = load_file(one), load_file(other)
    return left.keys() == right.keys() and all(_same(left[key], right[key]) for key in left)


def read_metrics(folder: Path) -> dict[str, Any]:
    """What a run or ``eval`` measured."""
    content: dict[str, Any] = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    return content


def entries_in(out: Path) -> list[dict[str, Any]]:
    """What ``detect`` found, image by image."""
    content = json.loads((out / "detections.json").read_text(encoding="utf-8"))
    entries: list[dict[str, Any]] = content["images"]
    return entries


def contents(folder: Path) -> dict[str, bytes]:
    """All files below a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _same(one: Tensor, other: Tensor) -> bool:
    return one.dtype == other.dtype and one.shape == other.shape and bool((one == other).all())
