"""Finding weights files."""

import os
import re
import zipfile
import zlib
from pathlib import Path

from vision.choices import SHIPPED_WEIGHTS
from vision.errors import WeightsError, listed
from vision.files import check_regular, similar_file
from vision.weights.hub import PREFIX, fetch

SHIPPED = {
    name: Path(__file__).parents[1] / "pretrained" / f"{name}.safetensors"
    for name in SHIPPED_WEIGHTS
}
"""The files of the detectors in the package, by name."""
_PICKLE_HEAD = 2**20
"""Number of bytes of a pickle that are searched for the name of the program that wrote it."""
BEST = "best.safetensors"
_YOLO = re.compile(r"yolo\w*-?\w*\.pt$", re.IGNORECASE)
"""Names of the weights that Ultralytics ships, such as ``yolov8n.pt``."""
_OF_YOLO = (
    "belong to another network (YOLO, by Ultralytics) and cannot be loaded; use a detector in the"
    f" package ({', '.join(SHIPPED)}), or train one on the same data (a folder with data.yaml)"
)


def find_weights(weights: str | Path) -> Path:
    """Find a weights file.

    Args:
        weights: A name in `SHIPPED`, a path, a run folder, whose best weights are used, or a file
            on the Hugging Face Hub, ``hf://user/name[/FILE][@REVISION]``, which is downloaded.

    Raises:
        WeightsError: If it is a folder without weights, there is no such file, or it cannot be
            opened or downloaded.
        ConfigError: If a file on the Hub is named and huggingface_hub is not installed.
    """
    name = weights.as_posix() if isinstance(weights, Path) else weights
    if name.startswith(PREFIX):
        return fetch(name)
    path = SHIPPED.get(name, Path(weights))
    if _YOLO.match(path.name):
        raise WeightsError(f"weights {path} {_OF_YOLO}")
    if os.path.isdir(path):  # noqa: PTH112 - Path.is_dir raises for names that are too long
        path /= BEST
    try:
        check_regular(path)
    except FileNotFoundError as error:
        runs = [str(file.parent) for file in sorted(Path(weights).glob(f"*/{BEST}"))]
        similar = f"; did you mean {listed(runs)}?" if runs else similar_file(weights, SHIPPED)
        hint = similar or (
            f"; name a weights file, a run folder that has {BEST}, weights on the Hub such as"
            f" {PREFIX}/user/name, or the weights in the package: {', '.join(SHIPPED)}"
        )
        raise WeightsError(f"weights {path} do not exist{hint}") from error
    except OSError as error:
        raise WeightsError(f"weights {path} cannot be read: {error.strerror}") from error
    return path


def refuse_pickle(path: Path) -> None:
    """Refuse a file of `torch.save` with an explanation, instead of an error about safetensors.

    Raises:
        WeightsError: If the file was written by `torch.save`.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith("data.pkl")]
            heads = [archive.open(name).read(_PICKLE_HEAD) for name in names]
    except (OSError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error):
        return
    if any(b"ultralytics" in head for head in heads):
        raise WeightsError(f"weights {path} {_OF_YOLO}")
    if heads:
        raise WeightsError(
            f"weights {path} are a PyTorch checkpoint, not safetensors; if it holds an SSDLite of"
            " another project, convert it with ssdlite convert"
        )
