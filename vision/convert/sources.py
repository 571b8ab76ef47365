"""The projects whose weights ``ssdlite convert`` and ``model.init`` read."""

import warnings
from dataclasses import replace
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor

from vision.choices import SOURCES, import_choice
from vision.convert.layout import CheckpointLayout
from vision.convert.mapping import convert_backbone, convert_detector
from vision.convert.qfgaohao import QFGAOHAO_BACKBONE
from vision.convert.tensorflow import TENSORFLOW, has_folded_norms, read_tensorflow
from vision.convert.torchvision import IMAGENET_WEIGHTS, KNOWN_WEIGHTS, download, layout_of
from vision.errors import WeightsError, first_line
from vision.files import check_regular
from vision.weights.file import SavedBackbone, SavedDetector, load_any

WRAPPERS = ("state_dict", "model", "model_state_dict")


def convert_weights(
    source: str, file: str, labels: Path | None = None
) -> SavedBackbone | SavedDetector:
    """Read another project's weights.

    Args:
        source: A key of `vision.choices.SOURCES`.
        file: The file; for ``torchvision`` also a name of its weights, such as ``IMAGENET1K_V2`` or
            ``SSDLite320_MobileNet_V3_Large_Weights.COCO_V1``.
        labels: File of the class names.

    Raises:
        WeightsError: If the file cannot be read, belongs to another source, or does not fit.
    """
    path = Path(file)
    if source == "tensorflow":
        tensors = read_tensorflow(path)
        saved = convert_detector(TENSORFLOW, tensors, path, labels)
        return replace(saved, norms_folded=has_folded_norms(tensors))
    is_known = source == "torchvision" and file in KNOWN_WEIGHTS
    tensors = _read_pickle(download(KNOWN_WEIGHTS[file]) if is_known else path)
    found: CheckpointLayout = import_choice(SOURCES[source])
    if source == "torchvision":
        found = layout_of(tensors)
    if source == "qfgaohao" and not any(key.startswith("base_net.") for key in tensors):
        found = QFGAOHAO_BACKBONE
        tensors = {key.removeprefix("features."): value for key, value in tensors.items()}
    if not found.backbone_only:
        return convert_detector(found, tensors, path, labels)
    if labels is not None:
        raise WeightsError(f"{path} is a backbone without classes: leave --labels out")
    features = {key: value for key, value in tensors.items() if not key.startswith("classifier.")}
    return convert_backbone(found, features, path)


def load_initial_weights(
    init: str, backbone: str = "mobilenet_v2"
) -> SavedBackbone | SavedDetector:
    """Load the weights that ``model.init`` names; ``imagenet`` means torchvision's backbone.

    Raises:
        WeightsError: If they cannot be read, or downloaded.
    """
    if init != "imagenet":
        return load_any(init)
    if backbone not in IMAGENET_WEIGHTS:
        raise WeightsError(f"model.init=imagenet: there are no such weights for {backbone}")
    return convert_weights("torchvision", IMAGENET_WEIGHTS[backbone])


def _read_pickle(path: Path) -> dict[str, Tensor]:
    """Read the state dict in a file of `torch.save`, without running code that it may contain."""
    try:
        check_regular(path)
    except OSError as error:
        raise WeightsError(
            f"{path} cannot be read: {error.strerror}; pass a .pth file, or for torchvision one of"
            f" {', '.join(KNOWN_WEIGHTS)}"
        ) from error
    try:
        with warnings.catch_warnings():  # about forms of pickle; an unreadable one still fails
            warnings.simplefilter("ignore")
            content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise WeightsError(
            f"{path} cannot be read as weights only: it is damaged, or holds objects that would"
            " run code on loading; if you trust it, save its state dict by itself first:"
            " torch.save(torch.load(FILE, weights_only=False)['state_dict'], OTHER); if torchvision"
            " downloaded it, delete it and try again"
        ) from error
    except Exception as error:  # PyTorch raises almost any exception for a damaged file
        reason = first_line(error)
        text = f"{path} is damaged, or was not written by torch.save: {reason}"
        raise WeightsError(text) from error
    for wrapper in WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise WeightsError(f"{path} holds {type(content).__name__}, expected a state dict")
    return _dense(content, path)


def _dense(content: dict[str, Any], path: Path) -> dict[str, Tensor]:
    """Return the weights of a state dict; refuse sparse, quantised, integer and empty storages."""
    tensors = {
        key.removeprefix("module."): value
        for key, value in content.items()
        if isinstance(value, Tensor) and not key.endswith("num_batches_tracked")
    }
    for key, value in tensors.items():
        if value.layout != torch.strided or value.is_quantized or not value.is_floating_point():
            raise WeightsError(f"{path}: {key} is {value.dtype}, {value.layout}; expected floats")
        if value.is_meta or value.untyped_storage().nbytes() < value.nbytes:
            shape = tuple(value.shape)
            raise WeightsError(f"{path}: {key} has fewer values than its shape {shape} states")
    return tensors
