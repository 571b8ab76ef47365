"""Where weights files are."""

from pathlib import Path

from vision.choices import SHIPPED_WEIGHTS
from vision.errors import WeightsError
from vision.files import similar_file

SHIPPED = {
    name: Path(__file__).parents[1] / "pretrained" / f"{name}.safetensors"
    for name in SHIPPED_WEIGHTS
}
"""The files of the detectors in the package, by name."""
BEST = "best.safetensors"


def find_weights(weights: str | Path) -> Path:
    """The file that a name of `SHIPPED`, a run folder (its best weights) or a path stands for.

    Raises:
        WeightsError: If it is a folder without weights, or there is no such file.
    """
    path = SHIPPED.get(str(weights), Path(weights))
    if path.is_dir():
        path /= BEST
    if path.is_file():
        return path
    hint = similar_file(weights, SHIPPED) or (
        f"; name a weights file, a run folder that has {BEST}, or the weights in the package:"
        f" {', '.join(SHIPPED)}"
    )
    raise WeightsError(f"weights {path} do not exist{hint}")
