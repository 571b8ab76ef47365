"""Where weights files are."""

from pathlib import Path

from vision.choices import SHIPPED_WEIGHTS
from vision.errors import WeightsError
from vision.weights.hub import PREFIX, fetch

SHIPPED = {
    name: Path(__file__).parents[1] / "pretrained" / f"{name}.safetensors"
    for name in SHIPPED_WEIGHTS
}
"""The files of the detectors in the package, by name."""
BEST = "best.safetensors"


def find_weights(weights: str | Path) -> Path:
    """The file that a name of `SHIPPED` or of the hub, a run folder or a path stands for.

    Args:
        weights: Of a run folder, the best weights are taken; a file of the Hugging Face Hub,
            ``hf://user/name[/FILE][@REVISION]``, is loaded.

    Raises:
        WeightsError: If it is a folder without weights, there is no such file, or it cannot be
            loaded.
        ConfigError: If a file of the hub is named and huggingface_hub is not installed.
    """
    name = weights.as_posix() if isinstance(weights, Path) else weights
    if name.startswith(PREFIX):
        return fetch(name)
    path = SHIPPED.get(name, Path(weights))
    if path.is_dir():
        path /= BEST
    if path.is_file():
        return path
    raise WeightsError(
        f"weights {path} do not exist; name a weights file, a run folder that has {BEST},"
        f" hf://user/name, or the weights in the package: {', '.join(SHIPPED)}"
    )
