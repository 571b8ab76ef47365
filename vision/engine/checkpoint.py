"""Checkpoints, from which a run resumes: write, verify, rotate, read and migrate them."""

import logging
import random
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vision.atomic import remove_partial, replacing
from vision.config import rename_keys
from vision.config.renamed import REMOVED
from vision.engine.checkpoint_content import check_content
from vision.engine.distributed import Processes
from vision.engine.run import RunState
from vision.errors import TrainingError, first_line
from vision.files import check_regular
from vision.weights import migrate_state

logger = logging.getLogger(__name__)

VERSION = 2
"""Version of the files' layout; `_migrate` converts older layouts."""
NAME = re.compile(r"step-(\d+)\.pt")
FIXED = re.compile(
    r"model\.(?!init$|postprocess\.)|optim\.(name|layer_decay)$|train\.(batch_size|seed)$"
    r"|images$|steps of an epoch$"
)
"""Keys of `RunState.config` that must not change when a run is resumed."""


class Checkpoints:
    """The checkpoints of a run.

    Args:
        folder: The folder that holds them.
        kept: Number of checkpoints that are kept; older ones are removed.
    """

    def __init__(self, folder: Path, kept: int = 2) -> None:
        self.folder = folder
        self.kept = kept

    def paths(self) -> list[Path]:
        """Return the checkpoint files, sorted by number of steps."""
        if not self.folder.is_dir():
            return []
        return sorted(path for path in self.folder.iterdir() if NAME.fullmatch(path.name))

    def save(self, state: RunState) -> None:
        """Write a checkpoint and verify it; if killed at any moment, older ones stay intact.

        Raises:
            TrainingError: If it cannot be written, as on a full disk; no partial file is left.
        """
        path = self.folder / f"step-{state.steps:09d}.pt"
        content = {"version": VERSION, "rng_state": _rng_state(), **state.state_dict()}
        try:
            with replacing(path) as partial:
                torch.save(content, partial)
                _verify(partial)
        except (OSError, RuntimeError, zipfile.BadZipFile) as error:
            raise TrainingError(
                f"checkpoint {path} cannot be written ({first_line(error)}); earlier checkpoints"
                " are intact: make room and continue with --resume"
            ) from error
        # The new one stays even if there is one with more steps, which must be damaged.
        for old in [other for other in self.paths() if other != path][: 1 - self.kept or None]:
            old.unlink()
        remove_partial(self.folder)

    def restore(self, state: RunState, processes: Processes) -> bool:
        """Restore the newest intact checkpoint in all processes; return False if there is none.

        Raises:
            TrainingError: If all are damaged or of another version, or of another run.
        """
        saved, problems = processes.broadcast(self._load() if processes.is_first else (None, []))
        for problem in problems:
            logger.warning("warning: %s: continuing from the checkpoint before it", problem)
        if saved is None:
            logger.info("no checkpoint in %s: starting from the beginning", self.folder.parent)
            return False
        for line in _compare(state, saved, self.folder):
            logger.info(line)
        try:
            state.load_state_dict(saved)
            _load_rng_state(saved["rng_state"])
        except Exception as error:  # PyTorch's classes raise errors of different types.
            reason = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
            raise TrainingError(
                f"the checkpoint in {self.folder} does not fit this version ({reason:.200}); resume"
                " with the version that wrote it, or start a new run with another --out"
            ) from error
        logger.info("resuming after epoch %d and %d steps", state.epoch, state.step)
        return True

    def _load(self) -> tuple[dict[str, Any] | None, list[str]]:
        """Return the newest intact checkpoint, if any, and the problems of newer, damaged ones."""
        problems = list[str]()
        for path in reversed(self.paths()):
            try:
                return _read(path), problems
            except TrainingError as error:  # noqa: PERF203
                problems.append(str(error))
        if problems:
            raise TrainingError(
                f"{problems[0]}; {self.folder} has no intact checkpoint: remove the folder to start"
                " from the beginning, or resume with the version that wrote it"
            )
        return None, []


def _read(path: Path) -> dict[str, Any]:
    """Read a checkpoint; only tensors and plain values are accepted, so that no code can run."""
    try:
        check_regular(path)
        _verify(path)
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
        saved: dict[str, Any] = _migrate(content) if isinstance(content, dict) else {}
    except Exception as error:  # For damaged files PyTorch raises errors of almost any type.
        raise TrainingError(f"checkpoint {path} cannot be read ({first_line(error)})") from error
    check_content(saved, f"checkpoint {path}")
    if saved["version"] != VERSION:
        version = saved["version"]
        raise TrainingError(f"checkpoint {path} has version {version}: another version wrote it")
    return saved


def _migrate(saved: dict[str, Any]) -> dict[str, Any]:
    """Convert a state to the layout of `VERSION`; the first layout had no version number."""
    saved = {"val": None, **saved}
    if "version" in saved:
        return saved
    saved = migrate_state(saved)
    config = dict(saved.get("config", {}))
    config["autocast dtype"] = config.pop("number format", None)
    return {**saved, "version": VERSION, "rng_state": saved.get("chance"), "config": config}


def _verify(path: Path) -> None:
    """Compare the content of a file with its checksums; raise BadZipFile if they differ."""
    with zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
    if damaged is not None:
        raise zipfile.BadZipFile(f"{damaged} does not fit its checksum")


def _compare(state: RunState, saved: Mapping[str, Any], folder: Path) -> list[str]:
    """Return lines for the changes since a checkpoint; raise TrainingError if one is fatal."""
    now, before = state.config, rename_keys(saved["config"])
    changed = [key for key in {**before, **now} if before.get(key) != now.get(key)]
    lines = {key: f"changed since: {key} {before.get(key)} -> {now.get(key)}" for key in changed}
    removed = [key for key in REMOVED if saved["config"].get(key)]
    lines |= {key: f"changed since: {key} is ignored now: {REMOVED[key]}" for key in removed}
    fixed = [key for key in changed if FIXED.match(key)]
    refused = [lines[key] for key in fixed]
    if saved["names"] != state.names:
        refused.append(f"classes {', '.join(saved['names'])} -> {', '.join(state.names)}")
    if refused and {*fixed} <= {"images", "steps of an epoch"} and saved["names"] == state.names:
        raise TrainingError(
            f"the training images are not those that {folder.parent} began with ({refused[0]});"
            " restore them to resume, or train on the present images with another --out,"
            f" starting from model.init={folder.parent / 'best.safetensors'}"
        )
    if refused:
        raise TrainingError(
            f"the checkpoints in {folder} are of another run ({'; '.join(refused)}); resume with"
            " the configuration that wrote them, or name another --out"
        )
    return list(lines.values())


def _rng_state() -> dict[str, Any]:
    """Return the states of all random number generators, as tensors and plain values."""
    name, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)  # noqa: NPY002
    version, words, gauss_next = random.getstate()
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "numpy": [name, torch.from_numpy(np.array(keys, np.int64)), position, has_gauss, gauss],
        "python": [version, list(words), gauss_next],
    }


def _load_rng_state(state: dict[str, Any]) -> None:
    """Set all random number generators; those of GPUs only if their number has not changed."""
    torch.set_rng_state(state["torch"])
    if len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))  # noqa: NPY002
    version, words, gauss_next = state["python"]
    random.setstate((version, tuple(words), gauss_next))
