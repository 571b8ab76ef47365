"""OpenMMLab's mmdetection: ``ssdlite_mobilenetv2_scratch``."""

from vision.convert.layout import CheckpointLayout, Role

FIRST_OF_STAGE = (1, 2, 4, 7, 11, 14, 17)
"""The index of the first block of each stage, ``layer1`` to ``layer7``."""


def _conv(role: Role) -> str:
    if role.part == "stem":
        return "backbone.conv1.conv"
    if role.part == "last":
        return "backbone.conv2.conv"
    if role.part == "block":
        stage = sum(first <= role.index for first in FIRST_OF_STAGE)
        index = role.index - FIRST_OF_STAGE[stage - 1]
        step = "linear" if role.step == "project" else role.step
        return f"backbone.layer{stage}.{index}.{step}_conv.conv"
    if role.part == "extra":
        layer = {"reduce": "0", "depthwise": "1.depthwise_conv", "project": "1.pointwise_conv"}
        return f"neck.extra_layers.{role.index}.{layer[role.step]}.conv"
    convs = "cls_convs" if role.part == "class_head" else "reg_convs"
    return f"bbox_head.{convs}.{role.index}.{'1' if role.step == 'predict' else '0.conv'}"


MMDETECTION = CheckpointLayout(
    name="mmdetection",
    preset="mmdetection",
    image_size=(320, 320),
    conv=_conv,
    norm=lambda conv: conv.removesuffix(".conv") + ".bn",
    background_first=False,
    postprocess={
        "score_threshold": 0.02,
        "nms_iou": 0.45,
        "max_candidates": 1000,
        "max_detections": 200,
    },
    licence="Apache-2.0 (OpenMMLab)",
)
