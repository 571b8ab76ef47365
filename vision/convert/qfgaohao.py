"""qfgaohao/pytorch-ssd: its ``mb2-ssd-lite`` detector and its ImageNet backbone."""

from dataclasses import replace

from vision.convert.layout import CheckpointLayout, Role

STEPS = {"expand": 0, "reduce": 0, "depthwise": 3, "project": 6}
STEPS_OF_FIRST_BLOCK = {"depthwise": 0, "project": 3}
LAST_LEVEL = 5


def _conv(role: Role) -> str:
    if role.part == "stem":
        return "base_net.0.0"
    if role.part == "last":
        return "base_net.18.0"
    if role.part == "block":
        step = (STEPS_OF_FIRST_BLOCK if role.index == 1 else STEPS)[role.step]
        return f"base_net.{role.index}.conv.{step}"
    if role.part == "extra":
        return f"extras.{role.index}.conv.{STEPS[role.step]}"
    headers = "classification_headers" if role.part == "class_head" else "regression_headers"
    if role.index == LAST_LEVEL:
        return f"{headers}.{role.index}"
    return f"{headers}.{role.index}.{0 if role.step == 'depthwise' else 3}"


QFGAOHAO = CheckpointLayout(
    name="qfgaohao",
    preset="qfgaohao",
    image_size=(300, 300),
    conv=_conv,
    postprocess={
        "score_threshold": 0.01,
        "nms_iou": 0.45,
        "max_per_class": 200,
        "max_candidates": 20_000,
        "max_detections": 20_000,
    },
    licence="MIT (qfgaohao/pytorch-ssd)",
)

QFGAOHAO_BACKBONE = replace(
    QFGAOHAO, backbone_only=True, conv=lambda role: _conv(role).removeprefix("base_net.")
)
"""The layout of its ImageNet classifier, such as ``mb2-imagenet-71_8.pth``."""
