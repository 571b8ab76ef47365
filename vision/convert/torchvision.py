"""Torchvision's classifiers, its SSDlite on MobileNetV3, and the download of their weights."""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from urllib.error import URLError

from torch import Tensor
from torch.hub import download_url_to_file, get_dir
from torchvision.models import get_weight

from vision.convert.layout import BACKBONE_PARTS, CheckpointLayout, Role
from vision.errors import WeightsError

IMAGENET_WEIGHTS = {
    "mobilenet_v2": "MobileNet_V2_Weights.IMAGENET1K_V2",
    "mobilenet_v3_large": "MobileNet_V3_Large_Weights.IMAGENET1K_V2",
}
"""The weights that ``model.init=imagenet`` means, by ``model.backbone``."""

_NAMES = (
    "MobileNet_V2_Weights.IMAGENET1K_V1",
    "MobileNet_V2_Weights.IMAGENET1K_V2",
    "MobileNet_V3_Large_Weights.IMAGENET1K_V1",
    "MobileNet_V3_Large_Weights.IMAGENET1K_V2",
    "SSDLite320_MobileNet_V3_Large_Weights.COCO_V1",
)
KNOWN_WEIGHTS = {name: name for name in _NAMES} | {
    name.partition(".")[2]: name for name in _NAMES[:2]
}
"""Torchvision's names of weights, by the names that ``ssdlite convert torchvision`` accepts instead
of a file; names without a class, such as ``IMAGENET1K_V2``, mean MobileNetV2."""

TORCHVISION = CheckpointLayout(
    name="torchvision",
    preset="torchvision",
    image_size=(320, 320),
    conv=lambda role: role.path,
    backbone_only=True,
    licence="BSD-3-Clause (torchvision); trained on ImageNet, whose images have terms of their own",
)
TORCHVISION_V3 = replace(TORCHVISION, preset="torchvision_v3", backbone="mobilenet_v3_large")

SPLIT_BLOCK = 13
"""The block that the detector splits in two, after its expansion."""
EXTRA = {"reduce": 0, "depthwise": 1, "project": 2}


def _detector_key(role: Role) -> str:
    if role.part in BACKBONE_PARTS:
        _, place, rest = role.path.split(".", 2)
        index = int(place)
        if index < SPLIT_BLOCK:
            return f"backbone.features.0.{index}.{rest}"
        if index == SPLIT_BLOCK and rest.startswith("block.0."):
            return f"backbone.features.0.{index}.{rest.removeprefix('block.0.')}"
        rest = rest.removeprefix("block.") if index == SPLIT_BLOCK else rest
        return f"backbone.features.1.{index - SPLIT_BLOCK}.{rest}"
    if role.part == "extra":
        return f"backbone.extra.{role.index}.{EXTRA[role.step]}.0"
    head = "classification_head" if role.part == "class_head" else "regression_head"
    layer = "0.0" if role.step == "depthwise" else "1"
    return f"head.{head}.module_list.{role.index}.{layer}"


TORCHVISION_SSDLITE = CheckpointLayout(
    name="torchvision",
    preset="torchvision_ssdlite",
    backbone="mobilenet_v3_large",
    image_size=(320, 320),
    conv=_detector_key,
    # It considers 300 candidates per class, which makes 27,000 for COCO's 90 classes.
    postprocess={
        "score_threshold": 0.001,
        "nms_iou": 0.55,
        "max_per_class": 300,
        "max_candidates": 27_000,
        "max_detections": 300,
    },
    licence="BSD-3-Clause (torchvision); trained on COCO, whose images have terms of their own",
)
TAIL = "backbone.features.1.1.block.0.0.weight"
"""The first convolution of the tail: 480 channels if the tail is reduced, else 960."""


def layout_of(tensors: Mapping[str, Tensor]) -> CheckpointLayout:
    """Find out to which of torchvision's networks a state dict belongs."""
    if any(key.startswith("head.classification_head.") for key in tensors):
        inputs_outputs = tensors[TAIL].shape[:2] if TAIL in tensors else ()
        # If it starts from an ImageNet backbone, torchvision's detector has the full tail, as our
        # own detector has.
        is_full = inputs_outputs == (960, 160)
        return replace(TORCHVISION_SSDLITE, preset="ssdlite") if is_full else TORCHVISION_SSDLITE
    is_v3 = any(key.startswith("features.1.block.") for key in tensors)
    return TORCHVISION_V3 if is_v3 else TORCHVISION


def download(name: str) -> Path:
    """Return the file of one of torchvision's weights, and download it unless it is cached.

    Raises:
        WeightsError: If the file is not cached and cannot be downloaded.
    """
    url: str = get_weight(name).url
    path = Path(str(get_dir())) / "checkpoints" / url.rpartition("/")[2]
    checksum = re.search(r"-([0-9a-f]{8,})\.", path.name)
    try:
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            prefix = checksum[1] if checksum else None
            download_url_to_file(url, str(path), hash_prefix=prefix, progress=False)
    except (URLError, OSError, RuntimeError) as error:
        raise WeightsError(
            f"{url} cannot be downloaded ({error}); download it on another machine, then run"
            " ssdlite convert torchvision FILE --out W.safetensors and set model.init=W.safetensors"
        ) from error
    return path
