"""lufficc/SSD: its MobileNetV2 SSD320."""

from vision.convert.layout import BACKBONE_PARTS, CheckpointLayout, Role

LAST_LEVEL = 5
EXTRA = {"reduce": "0.0", "depthwise": "1.0", "project": "2"}


def _conv(role: Role) -> str:
    if role.part in BACKBONE_PARTS:
        return f"backbone.{role.path}"
    if role.part == "extra":
        return f"backbone.extras.{role.index}.conv.{EXTRA[role.step]}"
    headers = "cls_headers" if role.part == "class_head" else "reg_headers"
    prefix = f"box_head.predictor.{headers}.{role.index}"
    if role.index == LAST_LEVEL:
        return prefix
    return f"{prefix}.conv.{0 if role.step == 'depthwise' else 3}"


LUFFICC = CheckpointLayout(
    name="lufficc",
    preset="lufficc",
    image_size=(320, 320),
    conv=_conv,
    postprocess={"score_threshold": 0.01, "nms_iou": 0.45, "max_detections": 100},
    licence="MIT (lufficc/SSD)",
)
