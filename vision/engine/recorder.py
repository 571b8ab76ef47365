"""Write the files of a run folder."""

import csv
import io
import json
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torchvision

from vision.atomic import replacing
from vision.engine.evaluation import HEADLINE
from vision.engine.plan import Plan
from vision.engine.run import RunState
from vision.engine.run_folder import RunFolder
from vision.engine.tensorboard import TensorBoardWriter
from vision.errors import TrainingError
from vision.extras import package_version
from vision.metrics import Metrics
from vision.model import SSDLite
from vision.weights import save_weights

COLUMNS = ("epoch", "lr", "loss", "classification", "localisation", "images_per_second", *HEADLINE)
PACKAGES = ("numpy", "opencv-python", "opencv-python-headless", "ssdlite", "torch", "torchvision")


class Recorder:
    """Writes the files of a run, except its checkpoints and its final pictures.

    Args:
        folder: The run folder.
        board: Writes curves for TensorBoard.
        plan: The plan of the run, for its configuration, class names and counts of the data.
    """

    def __init__(self, folder: RunFolder, board: TensorBoardWriter, plan: Plan) -> None:
        self.folder = folder
        self.board = board
        self._save_weights = partial(save_weights, config=plan.config, names=plan.names)
        self._data = plan.counts()

    def write_setup(self, config: str, device: torch.device) -> None:
        """Write ``config.yaml`` and ``environment.json``."""
        environment = {
            "command": sys.argv,
            "folder": str(Path.cwd()),
            "git_commit": _git_commit(),
            "python": platform.python_version(),
            "platform": platform.platform(),
            "versions": {name: package_version(name) for name in PACKAGES},
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
            "threads": torch.get_num_threads(),
            **self._data,
        }
        # This is the first file of a run, so that `RunFolder.check` recognises a run killed early.
        write_json(self.folder.environment, environment)
        _replace(self.folder.config, config)

    def write_epoch(
        self,
        path: Path,
        state: RunState,
        metrics: Metrics | None,
        *,
        is_best: bool,
        **facts: object,
    ) -> None:
        """Write the log and the weights, and with ``is_best`` also the best weights and metrics."""
        self.write_weights(path, state.eval_model, state, metrics, **facts)
        if is_best:
            self.write_weights(self.folder.best, state.eval_model, state, metrics)
        if is_best and metrics is not None:
            self.write_metrics({**metrics.to_dict(), "epoch": state.epoch}, state)
        write_log(self.folder.log, state.rows)
        values = {f"val/{key}": state.rows[-1].get(key) for key in HEADLINE}
        self.board.scalars(values, state.steps)

    def write_weights(
        self, path: Path, model: SSDLite, state: RunState, metrics: Metrics | None, **facts: object
    ) -> None:
        """Write weights, with details of their training and ``facts`` in the metadata."""
        versions = {"torch": torch.__version__, "torchvision": torchvision.__version__}
        training = {
            "start": state.origin,
            "epoch": state.epoch,
            **facts,
            "metrics": None if metrics is None else metrics.to_dict(),
            "versions": {"python": platform.python_version(), **versions},
        }
        self._save_weights(path, model, training=training)

    def write_metrics(self, metrics: dict[str, Any], state: RunState) -> None:
        """Write ``metrics.json``: metrics of the best and the initial weights, irregularities."""
        irregularities = self._data["irregularities"]
        content = {**metrics, "start": state.start, "irregularities": irregularities}
        write_json(self.folder.metrics, content)


def write_log(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write the whole log, so that it has each epoch once even if the run was resumed.

    Floats have five significant digits; values that are missing or None leave the column empty.
    """
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore")
    writer.writeheader()
    for row in rows:
        rounded = (f"{x:.5g}" if isinstance(x, float) else x for x in row.values())
        writer.writerow(dict(zip(row, rounded, strict=True)))
    _replace(path, text.getvalue())


def write_json(path: Path, content: object) -> None:
    """Write indented JSON; NaN and infinity raise ValueError."""
    _replace(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def _replace(path: Path, text: str) -> None:
    try:
        with replacing(path) as partial:
            partial.write_bytes(text.encode())
    except OSError as error:
        raise TrainingError(f"{path} cannot be written: {error.strerror or error}") from error


def _git_commit() -> str | None:
    """Return the commit of the git checkout that this package runs from, with a + if modified."""
    try:
        # An installed package can be in the folder of another project, which does not track it.
        _git("ls-files", "--error-unmatch", Path(__file__).name)
        return _git("describe", "--always", "--exclude=*", "--abbrev=40", "--dirty=+")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(*words: str) -> str:
    command = ["git", "-C", str(Path(__file__).parent), *words]
    return subprocess.check_output(  # noqa: S603
        command, stderr=subprocess.DEVNULL, text=True, timeout=10
    ).strip()
