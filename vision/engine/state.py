"""The resume state: everything that training needs to go on after any step."""

import pickle
import random
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vision.atomic import remove_partial, replacing
from vision.errors import TrainingError
from vision.weights import migrate_state

__all__ = ["States", "chance", "restore_chance"]

KEYS = frozenset(
    {
        "best",
        "chance",
        "config",
        "ema",
        "epoch",
        "known",
        "lr",
        "model",
        "names",
        "optimizer",
        "origin",
        "rows",
        "scaler",
        "schedule",
        "seconds",
        "start",
        "step",
        "sums",
        "unimproved",
    }
)
NAME = re.compile(r"step-(\d+)\.pt")


class States:
    """The states of a run, the newest last.

    Args:
        folder: Where they lie.
        kept: How many; older ones are removed.
    """

    def __init__(self, folder: Path, kept: int = 2) -> None:
        self.folder = folder
        self.kept = kept

    def paths(self) -> list[Path]:
        """The files, by the steps that they stand after."""
        if not self.folder.is_dir():
            return []
        found = [path for path in self.folder.iterdir() if NAME.fullmatch(path.name)]
        return sorted(found, key=lambda path: path.name)

    def save(self, state: dict[str, Any], step: int) -> None:
        """Write a state and read it back; a kill at any moment leaves the older ones as they are.

        Args:
            state: Tensors and plain values under the keys of `KEYS`.
            step: Steps done since the run began.

        Raises:
            TrainingError: If it cannot be written, as on a full disk; no trace of it is left.
        """
        path = self.folder / f"step-{step:09d}.pt"
        try:
            with replacing(path) as partial:
                torch.save(state, partial)
                _verify(partial)
        except (OSError, RuntimeError, zipfile.BadZipFile) as error:
            reason = str(error).splitlines()[0]
            raise TrainingError(
                f"state {path} cannot be written ({reason}); the states before it are whole: make"
                " room and go on with --resume"
            ) from error
        for old in [one for one in self.paths() if one != path][: 1 - self.kept or None]:
            old.unlink()
        remove_partial(self.folder)

    def load(self) -> tuple[dict[str, Any] | None, list[str]]:
        """The newest state that is whole, None if there never was one; and what others lack.

        It may hold tensors and plain values only, so no code can run.

        Raises:
            TrainingError: If there are states, and all are damaged or of another version.
        """
        problems = list[str]()
        for path in reversed(self.paths()):
            try:
                return load_state(path), problems
            except TrainingError as error:  # noqa: PERF203
                problems.append(str(error))
        if problems:
            raise TrainingError(
                f"{problems[0]}; no other state in {self.folder} is whole: remove them to start"
                " afresh, or resume with the version that wrote them"
            )
        return None, []


def load_state(path: Path) -> dict[str, Any]:
    """Read one state.

    Raises:
        TrainingError: If the file is damaged, or of another version.
    """
    try:
        _verify(path)
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, zipfile.BadZipFile) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise TrainingError(f"state {path} cannot be read ({reason})") from error
    missing = KEYS - set(state if isinstance(state, dict) else ())
    if missing:
        raise TrainingError(f"state {path} has no {', '.join(sorted(missing))}: another version's")
    return migrate_state(state)


def _verify(path: Path) -> None:
    """Compare what a file holds with its checksums."""
    with zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
    if damaged is not None:
        raise zipfile.BadZipFile(f"{damaged} does not fit its checksum")


def chance() -> dict[str, Any]:
    """The state of every random generator."""
    name, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)  # noqa: NPY002
    version, words, gauss_next = random.getstate()
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "numpy": [name, torch.from_numpy(np.array(keys, np.int64)), position, has_gauss, gauss],
        "python": [version, list(words), gauss_next],
    }


def restore_chance(state: dict[str, Any]) -> None:
    """Set every random generator; those of GPUs where there are as many as there were."""
    torch.set_rng_state(state["torch"])
    if len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))  # noqa: NPY002
    version, words, gauss_next = state["python"]
    random.setstate((version, tuple(words), gauss_next))
