"""``ssdlite info``."""

import argparse
import json
from collections.abc import Mapping
from typing import Any

from vision.cli.terminal import CommandResult, paint, step
from vision.errors import escape_controls
from vision.model import count_macs, count_parameters
from vision.weights import SavedBackbone, SavedDetector, load_any
from vision.weights.migration import FOLDED


def run(options: argparse.Namespace) -> CommandResult:
    """Print what a weights file contains."""
    saved = load_any(options.weights)
    for key, value in _describe(saved).items():
        print(f"{paint(f'{escape_controls(key):14}', 'heading')} {escape_controls(value)}")
    weights = options.weights
    if not isinstance(saved, SavedDetector):
        words = ("train", "--data", "MINE", f"model.init={weights}")
        return CommandResult(0, _values(saved), [step(*words, why="Train from it:")])
    look = step("detect", "photos/", "--weights", weights, why="See what it finds:")
    measure = step("eval", "--weights", weights, "--data", "MINE", why="Measure how good it is:")
    return CommandResult(0, _values(saved), [look, measure])


def _values(saved: SavedBackbone | SavedDetector) -> dict[str, Any]:
    """The result that ``--json`` prints."""
    model = saved.config.model if isinstance(saved, SavedDetector) else saved.config
    values: dict[str, Any] = {"kind": "backbone", "network": model.model_dump(mode="json")}
    if isinstance(saved, SavedDetector):
        values |= {
            "kind": "detector",
            "classes": list(saved.names),
            "image_size": list(saved.model.image_size),
            "parameters": count_parameters(saved.model),
            "macs": count_macs(saved.model, saved.model.image_size),
            "priors": len(saved.model.priors),
            "norms_folded": saved.norms_folded,
        }
    training = json.dumps(dict(saved.training), default=str)  # of any program: may contain NaN
    return values | {"training": json.loads(training, parse_constant=lambda _: None)}


def _describe(saved: SavedBackbone | SavedDetector) -> dict[str, str]:
    config = saved.config.model if isinstance(saved, SavedDetector) else saved.config
    height, width = config.image_size
    neck = "" if config.neck == "none" else f" with {config.neck}"
    network = f"SSDLite on {config.backbone}{neck}"
    lines = {"network": f"{network}, width {config.width_mult}, preset {config.preset}"}
    if isinstance(saved, SavedDetector):
        maps = ", ".join(f"{height}x{width}" for height, width in saved.model.map_sizes)
        lines |= {
            "classes": f"{len(saved.names)}: {', '.join(saved.names)}",
            "image size": f"{height} x {width} (height x width)",
            "parameters": f"{count_parameters(saved.model):,}",
            "MACs": f"{count_macs(saved.model, config.image_size) / 1e6:,.0f} million",
            "priors": f"{len(saved.model.priors):,}, maps of {maps}",
        }
    else:
        count = sum(value.numel() for key, value in saved.tensors.items() if "running" not in key)
        lines |= {"holds": "a backbone without heads, for model.init", "parameters": f"{count:,}"}
    lines |= {
        str(key): _text(value)
        for key, value in saved.training.items()
        if key != "metrics" and value not in ("", None)
    }
    if isinstance(saved, SavedDetector) and saved.norms_folded:
        lines["norms"] = FOLDED
    metrics = saved.training.get("metrics")
    if metrics:
        voc, coco = _number(metrics, "voc", "mAP50"), _number(metrics, "coco", "AP")
        lines["on val"] = f"voc.mAP50 {voc}, coco.AP {coco}"
    return lines


def _text(value: object) -> str:
    """A value, a list or a mapping as text."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_text(inner)}" for name, inner in value.items())
    return ", ".join(map(_text, value)) if isinstance(value, list | tuple) else str(value)


def _number(metrics: object, family: str, key: str) -> str:
    """A metric as text; ``unreadable`` if another program wrote the file in another form."""
    values = metrics.get(family) if isinstance(metrics, dict) else None
    value = values.get(key, "unreadable") if isinstance(values, dict) else "unreadable"
    if value is None:
        return "undefined"
    return f"{value:.3f}" if isinstance(value, int | float) else "unreadable"
