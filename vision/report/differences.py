"""The comparison of two detectors, A and B, as text: a verdict and tables."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from vision.formats import counted
from vision.metrics.comparison import Comparison, Difference
from vision.metrics.results import MIN_BOXES

NUM_LISTED = 10
"""Maximum number of images that are listed in the terminal."""
MISTAKES = (
    "A mistake is a missed object or a wrong detection. Each detector is judged at its best score"
    " threshold of each class, the one with the highest F1."
)


class ClassRow(NamedTuple):
    """A class that has boxes: VOC's AP50 and COCO's AP of both detectors."""

    name: str
    num_boxes: int
    ap50: tuple[float, float]
    ap: tuple[float, float]

    @property
    def ap50_change(self) -> float:
        """B's AP50 minus A's."""
        return self.ap50[1] - self.ap50[0]

    @property
    def ap_change(self) -> float:
        """B's AP minus A's."""
        return self.ap[1] - self.ap[0]


def describe_images(comparison: Comparison) -> str:
    """Say how many images, boxes and classes are compared."""
    metrics = comparison.metrics[0]
    counts = [count for count in metrics.voc.num_boxes if count]
    images, boxes = counted(metrics.num_images, "image"), counted(sum(counts), "box")
    return f"{images}, {boxes} of {counted(len(counts), 'class')}"


def class_rows(comparison: Comparison) -> list[ClassRow]:
    """The classes that have boxes, B's largest gain in AP first."""
    first, second = comparison.metrics
    columns = zip(
        first.names,
        first.voc.num_boxes,
        zip(first.voc.ap, second.voc.ap, strict=True),
        zip(first.coco.per_class, second.coco.per_class, strict=True),
        strict=True,
    )
    rows = [
        ClassRow(name, num_boxes, _defined(ap50), _defined(ap))
        for name, num_boxes, ap50, ap in columns
        if num_boxes
    ]
    return sorted(rows, key=lambda row: -row.ap_change)


def _defined(values: tuple[float | None, float | None]) -> tuple[float, float]:
    """The values, which are defined because the class has boxes."""
    first, second = values
    assert first is not None
    assert second is not None
    return first, second


def verdict(comparison: Comparison) -> str:
    """Say which detector is better, and by how much."""
    parts = []
    for name, sign in (("B", 1), ("A", -1)):
        gains = [
            f"{sign * difference.change:.3f} in {metric} ({_interval(difference, sign)})"
            for metric, difference in comparison.differences.items()
            if difference.is_clear and sign * difference.change > 0
        ]
        if gains:
            parts.append(f"{name} is better by {' and '.join(gains)}")
    unclear = [
        f"{metric} ({_interval(difference)})"
        for metric, difference in comparison.differences.items()
        if not difference.is_clear
    ]
    if unclear:
        images = counted(comparison.metrics[0].num_images, "image")
        parts.append(f"there is no clear difference on {images} in {' and '.join(unclear)}")
    text = "; ".join(parts)
    text = f"{text[0].upper()}{text[1:]}."
    num_boxes = sum(comparison.metrics[0].voc.num_boxes)
    if num_boxes < MIN_BOXES:
        text += f" With only {counted(num_boxes, 'box')}, the intervals are too narrow to rely on."
    return text


def _interval(difference: Difference, sign: int = 1) -> str:
    low, high = sorted((sign * difference.low, sign * difference.high))
    return f"95% interval {low:.3f} to {high:.3f}"


def text_lines(comparison: Comparison, images: Sequence[str]) -> Iterator[str]:
    """Yield the lines of the tables for a terminal.

    Args:
        comparison: The numbers.
        images: Name of each image.
    """
    yield from (describe_images(comparison), "")
    yield f"{'':10}  {'A':>6}  {'B':>6}  {'B - A':>6}  95% interval"
    for metric, (first, second, low, high) in comparison.differences.items():
        values = f"{first:6.3f}  {second:6.3f}  {second - first:+6.3f}"
        yield f"{metric:10}  {values}  {low:+.3f} to {high:+.3f}"
    yield from ("", *_class_lines(class_rows(comparison)))
    changed = comparison.changed_images()
    if changed:
        yield from ("", *_image_lines(comparison, changed, images))


def _class_lines(rows: Sequence[ClassRow]) -> Iterator[str]:
    width = max(len("class"), *(len(row.name) for row in rows))
    columns = f"{'A':>6}  {'B':>6}  {'B - A':>6}"
    yield f"{'':{width}}  {'':>6}  {'VOC AP50':^22}  {'COCO AP':^22}".rstrip()
    yield f"{'class':{width}}  {'boxes':>6}  {columns}  {columns}"
    for name, num_boxes, *values in rows:
        numbers = "  ".join(f"{a:6.3f}  {b:6.3f}  {b - a:+6.3f}" for a, b in values)
        yield f"{name:{width}}  {num_boxes:6}  {numbers}"


def _image_lines(
    comparison: Comparison, changed: Sequence[int], images: Sequence[str]
) -> Iterator[str]:
    listed = changed[:NUM_LISTED]
    first, second = comparison.count_mistakes().tolist()
    width = max(len("mistakes in"), *(len(images[index]) for index in listed))
    yield f"{'mistakes in':{width}}  {'A':>4}  {'B':>4}  {'B - A':>5}"
    for index in listed:
        a, b = first[index], second[index]
        yield f"{images[index]:{width}}  {a:4}  {b:4}  {b - a:+5}"
    better = sum(second[index] < first[index] for index in changed)
    yield (
        f"B makes fewer mistakes in {counted(better, 'image')}, more in {len(changed) - better}, as"
        f" many in {len(first) - len(changed)}. {MISTAKES}"
    )
