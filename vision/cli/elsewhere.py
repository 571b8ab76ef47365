"""The names that other tools use for our commands and options, for did-you-mean messages."""

import argparse
from collections.abc import Collection, Sequence

COMMANDS = {
    "predict": "detect",
    "infer": "detect",
    "inference": "detect",
    "track": "detect",
    "val": "eval",
    "valid": "eval",
    "validate": "eval",
    "evaluate": "eval",
    "test": "eval",
    "fit": "train",
    "finetune": "train",
    "quantize": "export",
    "demo": "detect",
    "download-data": "download",
}
"""Our commands by the names that other tools use."""
_SCORE = ("--score", "model.postprocess.score_threshold=")
_IOU = ("model.postprocess.nms_iou=",)
_SIZE = ("model.image_size=",)
_BATCH = ("--batch", "train.batch_size=")
INPUT = "INPUT"
"""Stands for the inputs of ``detect``, which have no option."""
OPTIONS: dict[str, tuple[str, ...]] = {
    "--conf": _SCORE,
    "--conf-thres": _SCORE,
    "--confidence": _SCORE,
    "--score-thr": _SCORE,
    "--score-threshold": _SCORE,
    "--threshold": _SCORE,
    "--iou": _IOU,
    "--iou-thres": _IOU,
    "--nms-iou": _IOU,
    "--source": (INPUT, "--data"),
    "--input": (INPUT, "--data"),
    "--image": (INPUT, "--images"),
    "--images": (INPUT,),
    "--dataset": ("--data",),
    "--model": ("--weights", "model.init="),
    "--checkpoint": ("--weights", "model.init="),
    "--pretrained": ("model.init=",),
    "--weights": ("model.init=",),
    "--imgsz": _SIZE,
    "--img": _SIZE,
    "--img-size": _SIZE,
    "--batch": _BATCH,
    "--batch-size": _BATCH,
    "--lr0": ("optim.lr=",),
    "--learning-rate": ("optim.lr=",),
    "--optimizer": ("optim.name=",),
    "--project": ("--out",),
    "--name": ("--out",),
    "--output": ("--out",),
    "--output-dir": ("--out",),
    "--save-dir": ("--out",),
    "--work-dir": ("--out",),
    "--exist-ok": ("--overwrite",),
    "--cfg": ("--config",),
    "--view-img": ("--show",),
    "--save-txt": ("--save yolo",),
    "--save-crop": ("--save crops",),
    "--save-json": ("--save coco",),
    "--tracker": ("--track",),
    "--labels": ("--classes",),
    "--max-det": ("--max",),
    "--agnostic-nms": ("--class-agnostic",),
    "--vid-stride": ("--stride",),
    "--format": ("--to",),
    "--half": ("--precision fp16",),
    "--int8": ("--precision int8",),
}
"""Options of other tools, each with ours in order of preference: the first one that the command
has is suggested."""
_SIZE_NOTE = (
    "images are resized to what the weights were trained at; training sets it with model.image_size"
)
_IOU_NOTE = (
    "the IoU of suppression is in the weights; in Python, Detector.load(W, postprocess={'nms_iou':"
    " 0.5}) changes it"
)
NOTES = {
    **dict.fromkeys(("--imgsz", "--img", "--img-size", "--image-size"), _SIZE_NOTE),
    **dict.fromkeys(("--iou", "--iou-thres", "--nms-iou"), _IOU_NOTE),
    "--save-conf": "all results have the scores",
    "--verbose": "everything is printed without it; -q prints less",
}
"""Explanations for options of other tools that have no counterpart in the command."""


def our_option(name: str, value: str, parser: argparse.ArgumentParser) -> str:
    """Our words for an option of another tool, ready to be typed; empty if it is not known.

    Args:
        name: The option, with its dashes.
        value: The value given with it; empty if there is none.
        parser: The parser of the command.
    """
    name = name.replace("_", "-")
    destinations = {action.dest for action in parser._actions}  # noqa: SLF001
    for ours in [*OPTIONS.get(name, ()), *(_keys(name) if "overrides" in destinations else [])]:
        if ours == INPUT and "inputs" in destinations:
            is_shown = value and "://" not in value  # a URL may have a password in it
            return f"{parser.prog} {value if is_shown else INPUT}"
        if ours.endswith("=") and "overrides" in destinations and _is_open(ours, destinations):
            return f"{ours}{value or 'VALUE'}"
        if ours.split()[0] in parser._option_string_actions:  # noqa: SLF001
            takes_value = parser._option_string_actions[ours.split()[0]].nargs != 0  # noqa: SLF001
            return f"{ours} {value}" if takes_value and value and " " not in ours else ours
    return ""


def _is_open(key: str, destinations: Collection[str]) -> bool:
    """Whether a command may change a key: if it takes weights, these determine the network."""
    is_of_network = key.startswith("model.") and not key.startswith("model.postprocess.")
    return not (is_of_network and "weights" in destinations)


def _keys(name: str) -> Sequence[str]:
    """The keys of the configuration whose last part is an option's name."""
    from vision.config.messages import keys_named  # noqa: PLC0415 - takes a while to import

    return [f"{key}=" for key in keys_named(name.lstrip("-").replace("-", "_"))]
