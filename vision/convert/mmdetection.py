"""OpenMMLab's mmdetection: ``ssdlite_mobilenetv2_scratch``."""

from vision.convert.layout import Source
from vision.convert.roles import Role

FIRST_OF_STAGE = (1, 2, 4, 7, 11, 14, 17)
"""The first block of each of its ``layer1`` to ``layer7``."""


def _unit(role: Role) -> str:
    """The convolution and norm of a role, named ``.conv`` and ``.bn`` below this."""
    if role.part == "stem":
        return "backbone.conv1"
    if role.part == "last":
        return "backbone.conv2"
    if role.part == "block":
        stage = sum(first <= role.index for first in FIRST_OF_STAGE)
        index = role.index - FIRST_OF_STAGE[stage - 1]
        step = "linear" if role.step == "project" else role.step
        return f"backbone.layer{stage}.{index}.{step}_conv"
    if role.part == "extra":
        layer = {"reduce": "0", "depthwise": "1.depthwise_conv", "project": "1.pointwise_conv"}
        return f"neck.extra_layers.{role.index}.{layer[role.step]}"
    convs = "cls_convs" if role.part == "class_head" else "reg_convs"
    return f"bbox_head.{convs}.{role.index}.{0 if role.step == 'depthwise' else 1}"


def _conv(role: Role) -> str:
    return _unit(role) if role.step == "predict" else f"{_unit(role)}.conv"


MMDETECTION = Source(
    name="mmdetection",
    preset="mmdetection",
    image_size=(320, 320),
    conv=_conv,
    norm=lambda role: f"{_unit(role)}.bn",
    background_first=False,
    postprocess={
        "score_threshold": 0.02,
        "nms_iou": 0.45,
        "max_candidates": 1000,
        "max_detections": 200,
    },
    licence="Apache-2.0 (OpenMMLab)",
)
