"""``ssdlite convert``: which file of which project is read and mapped how."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vision.convert.lufficc import LUFFICC
from vision.convert.mapping import Source, convert_detector, convert_trunk
from vision.convert.mmdetection import MMDETECTION
from vision.convert.qfgaohao import QFGAOHAO, QFGAOHAO_TRUNK
from vision.convert.tensorflow import TENSORFLOW, has_folded_norms, read_tensorflow
from vision.convert.torchvision import TORCHVISION, download
from vision.errors import WeightsError
from vision.weights.file import SavedDetector, SavedTrunk, load_any
from vision.weights.norms import FOLDED

__all__ = ["SOURCES", "convert", "load_start"]

IMAGENET = "imagenet"
IMAGENET_WEIGHTS = "IMAGENET1K_V2"

SOURCES: dict[str, Source] = {
    source.name: source for source in (TENSORFLOW, TORCHVISION, QFGAOHAO, MMDETECTION, LUFFICC)
}
"""By the name that ``ssdlite convert`` takes."""

DOWNLOADS = frozenset({"IMAGENET1K_V1", "IMAGENET1K_V2"})
KNOWN = ", ".join(sorted(DOWNLOADS))
WRAPPERS = ("state_dict", "model", "model_state_dict")
NOT_WEIGHTS = ("num_batches_tracked",)
CLASSIFIER = "classifier."


def convert(source: str, file: str, labels: Path | None = None) -> SavedDetector | SavedTrunk:
    """Read another project's weights.

    Args:
        source: One of `SOURCES`.
        file: Its file; for ``torchvision`` also ``IMAGENET1K_V1`` or ``IMAGENET1K_V2``.
        labels: File of the class names.

    Raises:
        WeightsError: If the file cannot be read, is another's, or does not fit.
    """
    path = Path(file)
    if source == "tensorflow":
        tensors = read_tensorflow(path)
        saved = convert_detector(TENSORFLOW, tensors, path, labels)
        if has_folded_norms(tensors):
            saved.training["norms"] = FOLDED
        return saved
    if source == "torchvision":
        if labels is not None:
            raise WeightsError(
                "torchvision's weights are a trunk without classes: leave --labels out"
            )
        tensors = read_pickle(download(file) if file in DOWNLOADS else path)
        return convert_trunk(TORCHVISION, without_classifier(tensors), path)
    tensors = read_pickle(path)
    if source == "qfgaohao" and not any(key.startswith("base_net.") for key in tensors):
        plain = {key.removeprefix("features."): value for key, value in tensors.items()}
        return convert_trunk(QFGAOHAO_TRUNK, without_classifier(plain), path)
    return convert_detector(SOURCES[source], tensors, path, labels)


def load_start(init: str) -> SavedDetector | SavedTrunk:
    """The weights that ``model.init`` names.

    Raises:
        WeightsError: If they cannot be read, or fetched.
    """
    return convert("torchvision", IMAGENET_WEIGHTS) if init == IMAGENET else load_any(init)


def without_classifier(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """All but the classifier's last layer."""
    return {key: value for key, value in tensors.items() if not key.startswith(CLASSIFIER)}


def read_pickle(path: Path) -> dict[str, Tensor]:
    """The state dict in a file of `torch.save`, without running any code that it may hold.

    Raises:
        WeightsError: If it is missing, damaged, or would need code to be run.
    """
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise WeightsError(f"{path} {what}; pass a .pth file, or of torchvision one of {KNOWN}")
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path} cannot be read as weights alone: it is damaged, or holds objects that would"
            " run code on loading; if you trust it, save its state dict by itself first:"
            " torch.save(torch.load(FILE, weights_only=False)['state_dict'], OTHER); if torchvision"
            " fetched it, remove it and try again"
        ) from error
    except (RuntimeError, EOFError, OSError, LookupError, ValueError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise WeightsError(f"{path} is damaged or no file of torch.save: {reason}") from error
    for wrapper in WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise WeightsError(f"{path} holds {type(content).__name__}, expected a state dict")
    return _dense(content, path)


def _dense(content: dict[str, Any], path: Path) -> dict[str, Tensor]:
    """The weights of a state dict.

    Raises:
        WeightsError: If one is sparse, quantised or no float.
    """
    tensors = {
        key.removeprefix("module."): value
        for key, value in content.items()
        if isinstance(value, Tensor) and not key.endswith(NOT_WEIGHTS)
    }
    for key, value in tensors.items():
        if value.layout != torch.strided or value.is_quantized or not value.is_floating_point():
            raise WeightsError(f"{path}: {key} is {value.dtype}, {value.layout}; expected floats")
    return tensors
