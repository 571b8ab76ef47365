"""Made-up detections and truth, plain and as the package takes them."""

import random

import torch

from tests.reference_tide import Corners, Found, Truth
from vision.detections import Detections
from vision.structures import Target

NUM_IMAGES = 8
NUM_CLASSES = 3


def make_case(seed: int) -> tuple[list[Found], list[Truth]]:
    """Detections near boxes and elsewhere, with a score of their own each.

    Images 0 and 1 have no detections, images 1 and 2 no boxes. A quarter of the boxes is ignored
    where the seed is odd. ``random()`` alone is called, whose values no version of Python changes.
    """
    rng = random.Random(seed)  # noqa: S311
    found: list[Found] = []
    truth: list[Truth] = []
    for image in range(NUM_IMAGES):
        boxes = [
            Truth(image, _label(rng), _box(rng), ignored=seed % 2 == 1 and rng.random() < 0.25)
            for _ in range(0 if image in (1, 2) else 1 + int(6 * rng.random()))
        ]
        truth += boxes
        if image > 1:
            near = [box for box in boxes for _ in range(3)]
            found += [Found(image, _near_label(rng, box), 0, _near(rng, box)) for box in near]
            found += [Found(image, _label(rng), 0, _box(rng)) for _ in range(4)]
    ranks = sorted(range(len(found)), key=lambda _: rng.random())
    for one, rank in zip(found, ranks, strict=True):
        one.score = (rank + 1) / 1024
    return found, truth


def _label(rng: random.Random) -> int:
    return int(NUM_CLASSES * rng.random())


def _near_label(rng: random.Random, box: Truth) -> int:
    return box.label if rng.random() < 0.7 else _label(rng)


def _box(rng: random.Random) -> Corners:
    x, y, width, height = 60 * rng.random(), 60 * rng.random(), 40 * rng.random(), 40 * rng.random()
    return _quarters(x, y, x + width + 8, y + height + 8)


def _near(rng: random.Random, box: Truth) -> Corners:
    reach = 2.0 if rng.random() < 0.4 else 20.0
    x0, y0, x1, y1 = (side + reach * (rng.random() - 0.5) for side in box.corners)
    return _quarters(x0, y0, max(x1, x0 + 1), max(y1, y0 + 1))


def _quarters(*corners: float) -> Corners:
    """Quarters of a pixel, which float32 holds exactly."""
    x0, y0, x1, y1 = (round(4 * corner) / 4 for corner in corners)
    return x0, y0, x1, y1


def as_structures(
    found: list[Found], truth: list[Truth], num_images: int = NUM_IMAGES
) -> tuple[list[Detections], list[Target]]:
    """The same as the package takes them."""
    detections, targets = [], []
    for image in range(num_images):
        own = sorted((one for one in found if one.image == image), key=lambda one: -one.score)
        boxes = [box for box in truth if box.image == image]
        detections.append(
            Detections(
                torch.tensor([one.corners for one in own], dtype=torch.float32).reshape(-1, 4),
                torch.tensor([one.score for one in own], dtype=torch.float32),
                torch.tensor([one.label for one in own], dtype=torch.int64),
            )
        )
        targets.append(
            Target(
                torch.tensor([box.corners for box in boxes], dtype=torch.float32).reshape(-1, 4),
                torch.tensor([box.label for box in boxes], dtype=torch.int64),
                ignore=torch.tensor([box.ignored for box in boxes], dtype=torch.bool),
            )
        )
    return detections, targets


def as_plain(
    detections: list[Detections], targets: list[Target]
) -> tuple[list[Found], list[Truth]]:
    """The same as `tests.reference_tide` takes them."""
    found = [
        Found(image, label, score, (x0, y0, x1, y1))
        for image, one in enumerate(detections)
        for (x0, y0, x1, y1), score, label in zip(
            one.boxes.tolist(), one.scores.tolist(), one.labels.tolist(), strict=True
        )
    ]
    truth = [
        Truth(image, label, (x0, y0, x1, y1), ignored)
        for image, one in enumerate(targets)
        for (x0, y0, x1, y1), label, ignored in zip(
            one.boxes.tolist(), one.labels.tolist(), (one.ignore | one.crowd).tolist(), strict=True
        )
    ]
    return found, truth
