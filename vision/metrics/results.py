"""COCO's and VOC's metrics of the same detections, as a table and as JSON."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from vision.choices import CocoEngine
from vision.detections import Detections
from vision.errors import escape_controls
from vision.metrics.coco import CocoResult, coco_ap
from vision.metrics.reference import pycocotools_ap
from vision.metrics.voc import VocResult, voc_ap
from vision.structures import Target

MIN_BOXES = 50
"""Minimum number of boxes of all classes for a meaningful average precision."""
CLASS_HEADER = ["class", "boxes", "VOC AP50 (area)", "VOC AP50 (11-pt)", "COCO AP"]
NUM_NAMED = 10
"""Maximum number of classes without a box that the table names."""


@dataclass(frozen=True, slots=True)
class Metrics:
    """COCO's and VOC's metrics of the detections in ``num_images`` images.

    Means are over the classes that have a box that counts.
    """

    coco: CocoResult
    voc: VocResult
    names: tuple[str, ...]
    num_images: int

    @property
    def num_classes_with_boxes(self) -> int:
        """Number of classes with a box that counts, over which the means are taken."""
        return sum(boxes > 0 for boxes in self.voc.num_boxes)

    @property
    def absent_names(self) -> list[str]:
        """The classes without a box that counts."""
        pairs = zip(self.names, self.voc.num_boxes, strict=True)
        return [name for name, boxes in pairs if not boxes]

    def to_dict(self) -> dict[str, Any]:
        """Both metrics as a JSON object, with null for undefined values."""
        numbers = self._coco_numbers()
        return {
            "coco": {**numbers, "per_class": self._by_name(self.coco.per_class)},
            "voc": {
                "mAP50": self.voc.mean,
                "mAP50_11pt": self.voc.mean_11pt,
                "per_class": self._by_name(self.voc.ap),
            },
            "num_images": self.num_images,
            "num_classes_with_boxes": self.num_classes_with_boxes,
        }

    def table(self) -> str:
        """Both metrics as text: the summary numbers, then a line for each class with a box."""
        numbers = self._coco_numbers()
        names, values = list(numbers), [_number(value) for value in numbers.values()]
        coco = _align([names[:6], values[:6], names[6:], values[6:]])
        voc_values = [_number(self.voc.mean), _number(self.voc.mean_11pt)]
        voc = _align([["mAP50 (area)", "mAP50 (11-pt)"], voc_values])
        classes = _align([CLASS_HEADER, *self._class_rows()], left=1)
        counted = f"{self.num_images} images, {sum(self.voc.num_boxes)} boxes"
        mean = f"mean over {_classes(self.num_classes_with_boxes)}"
        blocks = [
            [counted],
            [f"COCO, {mean}", *_indent(coco)],
            [f"VOC, {mean}", *_indent(voc)],
            [*classes, *self._absent_classes()],
        ]
        return "\n\n".join("\n".join(lines) for lines in blocks)

    def _coco_numbers(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self.coco).items() if name != "per_class"}

    def _class_rows(self) -> list[list[str]]:
        voc = self.voc
        columns = zip(
            self.names, voc.num_boxes, voc.ap, voc.ap_11pt, self.coco.per_class, strict=True
        )
        return [
            [escape_controls(name), str(boxes), *(_number(value) for value in values)]
            for name, boxes, *values in columns
            if boxes
        ]

    def _absent_classes(self) -> list[str]:
        """A line that names the classes without a box, if there are any."""
        absent = [escape_controls(name) for name in self.absent_names]
        named = ", ".join(absent[:NUM_NAMED]) + (", ..." if len(absent) > NUM_NAMED else "")
        return [f"{_classes(len(absent))} without a box: {named}"] if absent else []

    def _by_name(self, values: Sequence[float | None]) -> dict[str, float | None]:
        return dict(zip(self.names, values, strict=True))


def evaluate_detections(
    detections: Sequence[Detections],
    targets: Sequence[Target],
    names: Sequence[str],
    *,
    engine: CocoEngine = "faster",
) -> Metrics:
    """Compute COCO's and VOC's metrics of the same detections.

    Args:
        detections: The detections in each image, in pixels of the image that its target refers to.
        targets: The ground truth of the same images.
        names: Distinct class names, in label order.
        engine: What computes COCO's metrics: "faster" for `coco_ap`, or "pycocotools".

    Raises:
        ValueError: If two classes have the same name, or detections and targets do not fit
            (`vision.metrics.inputs.check_inputs`).
    """
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ValueError(f"names: expected each class once, got {', '.join(twice)} more than once")
    voc = voc_ap(detections, targets, len(names))
    measure = coco_ap if engine == "faster" else pycocotools_ap
    coco = measure(detections, targets, len(names))
    return Metrics(coco, voc, tuple(names), len(targets))


def _classes(count: int) -> str:
    return f"{count} class{'es' if count != 1 else ''}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _align(rows: Sequence[Sequence[str]], left: int = 0) -> list[str]:
    """Align the columns: the first ``left`` columns to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if index < left else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]


def _indent(lines: Sequence[str]) -> list[str]:
    return [f"  {line}" for line in lines]
