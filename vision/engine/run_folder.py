"""The run folder: where each file of a run lies, and what may be written there."""

import csv
import json
from pathlib import Path
from typing import Any

from vision.config import Config, dump_config
from vision.errors import TrainingError

__all__ = ["RunFolder", "write_json"]

COLUMNS = (
    "epoch",
    "lr",
    "loss",
    "classification",
    "localisation",
    "images_per_second",
    "voc_mAP50",
    "coco_AP",
)


class RunFolder:
    """The files of one run.

    Attributes:
        path: The folder.
        best: Weights of the best evaluation so far.
        last: Weights after the last epoch.
        state: What ``--resume`` goes on from.
        pictures: Folder of annotated validation pictures.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.best = path / "best.safetensors"
        self.last = path / "last.safetensors"
        self.state = path / "state.pt"
        self.pictures = path / "pictures"
        self._log = path / "log.csv"

    def open(self, *, resume: bool) -> None:
        """Make the folder.

        Raises:
            TrainingError: If it holds a run and this one does not resume it, or if it cannot be
                written.
        """
        try:
            if not resume and self.path.exists() and any(self.path.iterdir()):
                raise TrainingError(
                    f"run folder {self.path} exists; continue it with --resume, or name another"
                    " with --out"
                )
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise TrainingError(f"run folder {self.path} cannot be used: {error}") from error

    def write_config(self, config: Config) -> None:
        """Write the resolved configuration."""
        (self.path / "config.yaml").write_text(dump_config(config), encoding="utf-8")

    def log(self, rows: list[dict[str, Any]]) -> None:
        """Write the log afresh, so that it always tells of the very epochs that count."""
        with self._log.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)

    def write_metrics(self, metrics: dict[str, Any]) -> None:
        """Write ``metrics.json``."""
        write_json(self.path / "metrics.json", metrics)


def write_json(path: Path, content: object) -> None:
    """Write JSON for people and programs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")
