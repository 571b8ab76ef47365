"""Where weights files are."""

import os
import re
import zipfile
import zlib
from pathlib import Path

from vision.choices import SHIPPED_WEIGHTS
from vision.errors import WeightsError
from vision.files import check_regular, similar_file
from vision.weights.hub import PREFIX, fetch

SHIPPED = {
    name: Path(__file__).parents[1] / "pretrained" / f"{name}.safetensors"
    for name in SHIPPED_WEIGHTS
}
"""The files of the detectors in the package, by name."""
_PICKLE_HEAD = 2**20
"""Bytes of a pickle that are searched for the name of the program that wrote it."""
BEST = "best.safetensors"
_YOLO = re.compile(r"yolo\w*-?\w*\.pt$", re.IGNORECASE)
"""Names of the weights that Ultralytics ships, such as ``yolov8n.pt``."""
_OF_YOLO = (
    "are of another network (YOLO, of Ultralytics), which cannot be loaded; take a detector in the"
    f" package ({', '.join(SHIPPED)}), or train on their data: a folder with data.yaml is read"
)


def find_weights(weights: str | Path) -> Path:
    """The file that a name of `SHIPPED` or of the hub, a run folder or a path stands for.

    Args:
        weights: Of a run folder, the best weights are taken; a file of the Hugging Face Hub,
            ``hf://user/name[/FILE][@REVISION]``, is loaded.

    Raises:
        WeightsError: If it is a folder without weights, there is no such file, or it cannot be
            opened or loaded.
        ConfigError: If a file of the hub is named and huggingface_hub is not installed.
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
        hint = similar_file(weights, SHIPPED) or (
            f"; name a weights file, a run folder that has {BEST}, weights on the Hub such as"
            f" {PREFIX}/user/name, or the weights in the package: {', '.join(SHIPPED)}"
        )
        raise WeightsError(f"weights {path} do not exist{hint}") from error
    except OSError as error:
        raise WeightsError(f"weights {path} cannot be read: {error.strerror}") from error
    return path


def refuse_pickle(path: Path) -> None:
    """Say what a file of `torch.save` is, in place of an error about safetensors.

    Raises:
        WeightsError: If the file is one.
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
            f"weights {path} are a checkpoint of PyTorch, not safetensors; ssdlite convert reads"
            " those of SSDLite from other projects"
        )
