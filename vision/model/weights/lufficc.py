"""lufficc/SSD: its MobileNetV2 SSD320."""

from vision.model.weights.convert import Source
from vision.model.weights.roles import Role

__all__ = ["LUFFICC"]

LAST_LEVEL = 5
EXPANDED = {"expand": "0.0", "depthwise": "1.0", "project": "2"}
FIRST_BLOCK = {"depthwise": "0.0", "project": "1"}
EXTRA = {"reduce": "0.0", "depthwise": "1.0", "project": "2"}


def _conv(role: Role) -> str:
    if role.part == "stem":
        return "backbone.features.0.0"
    if role.part == "last":
        return "backbone.features.18.0"
    if role.part == "block":
        step = (FIRST_BLOCK if role.index == 1 else EXPANDED)[role.step]
        return f"backbone.features.{role.index}.conv.{step}"
    if role.part == "extra":
        return f"backbone.extras.{role.index}.conv.{EXTRA[role.step]}"
    headers = "cls_headers" if role.part == "class_head" else "reg_headers"
    prefix = f"box_head.predictor.{headers}.{role.index}"
    if role.index == LAST_LEVEL:
        return prefix
    return f"{prefix}.conv.{0 if role.step == 'depthwise' else 3}"


def _norm(role: Role) -> str:
    stem, _, number = _conv(role).rpartition(".")
    return f"{stem}.{int(number) + 1}"


LUFFICC = Source(
    name="lufficc",
    preset="lufficc",
    image_size=(320, 320),
    conv=_conv,
    norm=_norm,
    postprocess={"score_threshold": 0.01, "nms_iou": 0.45, "max_detections": 100},
    licence="MIT (lufficc/SSD)",
)
