"""The model card of a detector: its README.md, the page on the Hugging Face Hub."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, StrictUndefined

from vision.model import count_parameters
from vision.weights.file import SavedDetector
from vision.weights.migration import recorded_licence

_TEMPLATE = Path(__file__).with_suffix(".md")
_KNOWN_LICENCES = ("Apache-2.0", "BSD-3-Clause", "MIT")


def model_card(saved: SavedDetector, repo: str, licence: str | None = None) -> str:
    """Write the text of a model card: classes, accuracy, an example of use, and the licence.

    Args:
        saved: The detector.
        repo: ``user/name``.
        licence: SPDX identifier such as ``mit``; None for the licence recorded in the weights.
    """
    recorded = recorded_licence(saved.training)
    known = [name.lower() for name in _KNOWN_LICENCES if name in recorded]
    identifier = licence or (known[0] if len(known) == 1 else "other")
    head = {
        **({"license": identifier} if licence or recorded else {}),
        "library_name": "ssdlite",
        "pipeline_tag": "object-detection",
        "tags": ["object-detection", "ssdlite", saved.config.model.backbone],
    }
    metrics = saved.training.get("metrics")
    page = Environment(trim_blocks=True, undefined=StrictUndefined, autoescape=False)  # noqa: S701 - Markdown
    return page.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(
        head=yaml.safe_dump(head, sort_keys=False),
        repo=repo,
        names=[_plain(name) for name in saved.names],
        facts=_facts(saved),
        rows=list(_rows(metrics, saved.names)) if metrics else [],
        num_images=metrics["num_images"] if metrics else 0,
        val=_plain(saved.training.get("val", "")),
        warning=_plain(saved.training.get("warning", "")),
        licence=licence or recorded,
    )


def _facts(saved: SavedDetector) -> dict[str, str]:
    config = saved.config.model
    facts = {
        "backbone": f"{config.backbone}, width {config.width_mult}",
        "image size": " x ".join(map(str, config.image_size)) + " (height x width)",
        "parameters": f"{count_parameters(saved.model):,}",
        "started from": _plain(saved.training.get("start", "")),
    }
    return {key: value for key, value in facts.items() if value}


def _rows(metrics: Mapping[str, Any], names: list[str]) -> Iterator[tuple[str, str, str]]:
    """Yield the name, VOC AP50 and COCO AP of the mean, then of each class."""
    voc, coco = metrics["voc"], metrics["coco"]
    yield "mean", _number(voc["mAP50"]), _number(coco["AP"])
    by_class = [part["per_class"] for part in (voc, coco)]
    for name in names:
        ap50, ap = (_number(values.get(name)) for values in by_class)
        yield _plain(name), ap50, ap


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _plain(text: object) -> str:
    """Put a text on one line and escape ``|``, so that it fits in a cell of a Markdown table."""
    return " ".join(str(text).split()).replace("|", "\\|")
