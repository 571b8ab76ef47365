"""The resume state: everything that training needs to go on after an epoch."""

import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from vision.errors import TrainingError

__all__ = ["load_state", "save_state"]

KEYS = frozenset(
    {"best", "epoch", "model", "model_config", "names", "optimizer", "rng", "rows", "schedule"}
)


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write a state; an older one stays whole until the new one is."""
    partial = path.with_name(f"{path.name}.partial")
    torch.save(state, partial)
    partial.replace(path)


def load_state(path: Path) -> dict[str, Any]:
    """Read a state; it may hold tensors and plain values only, so no code can run.

    Raises:
        TrainingError: If the file is damaged, or of another version.
    """
    try:
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, zipfile.BadZipFile) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise TrainingError(
            f"state {path} cannot be read ({reason}); remove it to start afresh"
        ) from error
    missing = KEYS - set(state if isinstance(state, dict) else ())
    if missing:
        raise TrainingError(
            f"state {path} has no {', '.join(sorted(missing))}: another version wrote it; remove it"
            " to start afresh, or resume with that version"
        )
    return dict(state)
