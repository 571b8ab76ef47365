"""TIDE's costs of the kinds of error (arXiv 2008.08115, sections 2.2 and 2.3), one step at a time.

Slow and plain on purpose: a reference for tests. It is compared with ``tidecv`` 1.0.1, the paper's
own code, by ``python -m tests.metrics.tide_values``.
"""

from dataclasses import dataclass

Corners = tuple[float, float, float, float]

FOREGROUND = 0.5
BACKGROUND = 0.1
KINDS = ("classification", "localisation", "both", "duplicate", "background", "missed")


@dataclass(eq=False)
class Truth:
    """A ground-truth box; of an ignored one, detections inside it do not count."""

    image: int
    label: int
    corners: Corners
    ignored: bool = False
    is_found: bool = False
    best_claim: "Found | None" = None  # of the classification and localisation errors


@dataclass(eq=False)
class Found:
    """A detection."""

    image: int
    label: int
    score: float
    corners: Corners
    kind: str = ""  # "right" or one of KINDS
    is_ignored: bool = False
    claims: Truth | None = None  # the box that it would find if it were repaired


def overlap(first: Corners, second: Corners) -> float:
    """Area of the intersection."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    return max(width, 0) * max(height, 0)


def area(box: Corners) -> float:
    """Area."""
    return (box[2] - box[0]) * (box[3] - box[1])


def iou(first: Corners, second: Corners) -> float:
    """Intersection over union."""
    common = overlap(first, second)
    return common / (area(first) + area(second) - common)


def closest(one: Found, truth: list[Truth]) -> tuple[float, Truth | None]:
    """Highest IoU with a box, and the first such box."""
    best, best_box = 0.0, None
    for box in truth:
        value = iou(one.corners, box.corners)
        if value > best:
            best, best_box = value, box
    return best, best_box


def match(found: list[Found], truth: list[Truth]) -> None:
    """Right and ignored detections, by descending score."""
    for one in sorted(found, key=lambda one: -one.score):
        here = [box for box in truth if box.image == one.image and box.label == one.label]
        free = [box for box in here if not box.ignored and not box.is_found]
        best, box = closest(one, free)
        if box and best >= FOREGROUND:
            box.is_found = True
            one.kind = "right"
        elif any(
            overlap(one.corners, box.corners) / area(one.corners) >= FOREGROUND
            for box in here
            if box.ignored
        ):
            one.is_ignored = True


def classify(found: list[Found], truth: list[Truth]) -> None:
    """The kind of each detection that is not right, of ignored ones too."""
    for one in found:
        if one.kind:
            continue
        here = [box for box in truth if box.image == one.image and not box.ignored]
        same, same_box = closest(one, [box for box in here if box.label == one.label])
        other, other_box = closest(one, [box for box in here if box.label != one.label])
        if BACKGROUND <= same < FOREGROUND:
            one.kind, one.claims = "localisation", same_box
        elif other >= FOREGROUND:
            one.kind, one.claims = "classification", other_box
        elif same >= FOREGROUND:
            one.kind = "duplicate"
        elif max(same, other) <= BACKGROUND:
            one.kind = "background"
        else:
            one.kind = "both"


def precision_average(rights: list[bool], num_boxes: int) -> float:
    """COCO's average precision: the envelope's mean at 101 recalls."""
    if not num_boxes:
        return 0.0
    precision, recall, hits = [], [], 0
    for count, right in enumerate(rights, start=1):
        hits += right
        precision.append(hits / count)
        recall.append(hits / num_boxes)
    total = 0.0
    for point in range(101):
        total += max(
            (p for p, r in zip(precision, recall, strict=True) if r >= point / 100), default=0.0
        )
    return total / 101


def mean_precision(
    rows: list[tuple[int, float, bool]], boxes: dict[int, int], labels: set[int]
) -> float:
    """Mean AP over ``labels``, without those that have neither boxes nor detections.

    Args:
        rows: Label, score and whether it is right, of each detection, in order of the images.
        boxes: Number of boxes of each label.
        labels: Those of the boxes.
    """
    values = []
    for label in sorted(labels):
        own = sorted((row for row in rows if row[0] == label), key=lambda row: -row[1])
        if own or boxes[label]:
            values.append(precision_average([right for *_, right in own], boxes[label]))
    return sum(values) / len(values) if values else 1.0


def fix(one: Found, kind: str) -> tuple[int, float, bool] | None:
    """The detection's label, score and whether it is right, with the errors of a kind repaired."""
    if one.kind != kind:
        return None if one.is_ignored else (one.label, one.score, one.kind == "right")
    if one.claims is None or one.claims.is_found or one.claims.best_claim is not one:
        return None
    return one.claims.label, one.score, True


def costs(found: list[Found], truth: list[Truth]) -> tuple[float, dict[str, float]]:
    """AP at IoU 0.5, and what repairing each kind of error adds to it."""
    match(found, truth)
    classify(found, truth)
    for one in found:
        if one.claims and (
            one.claims.best_claim is None or one.score > one.claims.best_claim.score
        ):
            one.claims.best_claim = one
    counted = [box for box in truth if not box.ignored]
    labels = {box.label for box in counted}
    boxes = {label: sum(box.label == label for box in counted) for label in labels}
    missed = [box for box in counted if not box.is_found and box.best_claim is None]
    not_missed = {
        label: boxes[label] - sum(box.label == label for box in missed) for label in labels
    }
    detected = {
        label: sum(box.label == label and box.is_found for box in counted) for label in labels
    }
    rows = [(one.label, one.score, one.kind == "right") for one in found if not one.is_ignored]
    base = mean_precision(rows, boxes, labels)
    values = {}
    for kind in KINDS[:-1]:
        fixed = [row for one in found if (row := fix(one, kind))]
        values[kind] = mean_precision(fixed, boxes, labels) - base
    values["missed"] = mean_precision(rows, not_missed, labels) - base
    right = [row for row in rows if row[2]]
    values["false positives"] = mean_precision(right, boxes, labels) - base
    values["false negatives"] = mean_precision(rows, detected, labels) - base
    return base, values
