"""The run folder: where each file of a run lies, and what may be written there."""

import csv
import io
import json
import platform
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from vision.atomic import remove_partial, replacing
from vision.config import Config, dump_config, load_config
from vision.errors import TrainingError

__all__ = ["RunFolder", "write_json"]

COLUMNS = (
    "epoch",
    "lr",
    "loss",
    "classification",
    "localisation",
    "images_per_second",
    "voc.mAP50",
    "coco.AP",
)


PACKAGES = ("numpy", "opencv-python", "opencv-python-headless", "ssdlite", "torch", "torchvision")


class RunFolder:
    """The files of one run.

    Attributes:
        path: The folder.
        best: Weights of the best evaluation so far.
        last: Weights after the last epoch.
        start: Weights before the first step, of a run that starts from others.
        states: Folder of what ``--resume`` goes on from.
        pictures: Folder of annotated validation pictures.
        tensorboard: Folder of TensorBoard's events.
        curves: Picture of the log.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.best = path / "best.safetensors"
        self.last = path / "last.safetensors"
        self.start = path / "start.safetensors"
        self.states = path / "states"
        self.pictures = path / "pictures"
        self.tensorboard = path / "tensorboard"
        self.curves = path / "curves.png"
        self._log = path / "log.csv"
        self._config = path / "config.yaml"

    def check(self, *, resume: bool) -> None:
        """Make sure that a run may be written here; nothing is made yet.

        Raises:
            TrainingError: If it holds a run and this one does not resume it.
        """
        try:
            is_taken = self.path.exists() and any(self.path.iterdir())
        except OSError as error:
            raise TrainingError(f"run folder {self.path} cannot be used: {error}") from error
        if is_taken and not resume:
            raise TrainingError(
                f"run folder {self.path} exists; continue it with --resume, or name another"
                " with --out"
            )

    def make(self) -> None:
        """Make the folder, and remove what a killed run has left half written.

        Raises:
            TrainingError: If it cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            remove_partial(self.path)
        except OSError as error:
            raise TrainingError(f"run folder {self.path} cannot be used: {error}") from error

    def read_config(self) -> Config | None:
        """The configuration of the run that lies here; None if there is none."""
        return load_config(self._config) if self._config.is_file() else None

    def write_config(self, config: Config) -> None:
        """Write the resolved configuration."""
        _replace(self._config, dump_config(config))

    def write_environment(self, device: torch.device, names: Mapping[str, int]) -> None:
        """Write ``environment.json``: what ran, on what, and the boxes of each class."""
        content = {
            "command": sys.argv,
            "folder": str(Path.cwd()),
            "git_commit": _git_commit(),
            "python": platform.python_version(),
            "platform": platform.platform(),
            "versions": {name: _version(name) for name in PACKAGES},
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
            "threads": torch.get_num_threads(),
            "boxes": dict(names),
        }
        write_json(self.path / "environment.json", content)

    def log(self, rows: list[dict[str, Any]]) -> None:
        """Write the log afresh, so that it always tells of the very epochs that count.

        Floats have five significant digits; a column that a row lacks or has None in is empty.
        """
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, COLUMNS)
        writer.writeheader()
        for row in rows:
            rounded = (f"{x:.5g}" if isinstance(x, float) else x for x in row.values())
            writer.writerow(dict(zip(row, rounded, strict=True)))
        _replace(self._log, text.getvalue())

    def write_metrics(self, metrics: dict[str, Any]) -> None:
        """Write ``metrics.json``."""
        write_json(self.path / "metrics.json", metrics)


def write_json(path: Path, content: object) -> None:
    """Write JSON for people and programs."""
    _replace(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def _replace(path: Path, text: str) -> None:
    """Write a file; an older one stays whole until the new one is.

    Raises:
        TrainingError: If it cannot be written, as on a full disk.
    """
    try:
        with replacing(path) as partial:
            partial.write_bytes(text.encode())
    except OSError as error:
        raise TrainingError(f"{path} cannot be written: {error.strerror or error}") from error


def _version(package: str) -> str | None:
    """None for one that is not installed, as of two that give the same module."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git_commit() -> str | None:
    """Of the working copy that this package runs from, with a + if it has changes; None in none."""
    folder = Path(__file__).parent
    found = []
    for words in (("rev-parse", "HEAD"), ("status", "--porcelain", "--untracked-files=no")):
        try:
            result = subprocess.run(  # noqa: S603
                ["git", "-C", str(folder), *words],  # noqa: S607
                capture_output=True,
                text=True,
                check=True,
                timeout=10,
            )
        except (OSError, subprocess.SubprocessError):
            return None
        found.append(result.stdout.strip())
    return found[0] + "+" * bool(found[1])
