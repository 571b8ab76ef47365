"""Where weights files are."""

import os
from pathlib import Path

from vision.choices import SHIPPED_WEIGHTS
from vision.errors import WeightsError
from vision.files import check_regular

SHIPPED = {
    name: Path(__file__).parents[1] / "pretrained" / f"{name}.safetensors"
    for name in SHIPPED_WEIGHTS
}
"""The files of the detectors in the package, by name."""
BEST = "best.safetensors"


def find_weights(weights: str | Path) -> Path:
    """The file that a name of `SHIPPED`, a run folder (its best weights) or a path stands for.

    Raises:
        WeightsError: If it is a folder without weights, there is no such file, or it cannot be
            opened.
    """
    path = SHIPPED.get(str(weights), Path(weights))
    if os.path.isdir(path):  # noqa: PTH112 - Path.is_dir raises for names that are too long
        path /= BEST
    try:
        check_regular(path)
    except FileNotFoundError as error:
        raise WeightsError(
            f"weights {path} do not exist; name a weights file, a run folder that has {BEST}, or"
            f" the weights in the package: {', '.join(SHIPPED)}"
        ) from error
    except OSError as error:
        raise WeightsError(f"weights {path} cannot be read: {error.strerror}") from error
    return path
