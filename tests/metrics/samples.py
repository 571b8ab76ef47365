"""Small made-up detections and truth."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from vision.detections import Detections
from vision.structures import Target

SIDE = 400

Box = tuple[float, float, float, float]


def as_boxes(boxes: Sequence[Box]) -> Tensor:
    return torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)


def target(
    boxes: Sequence[Box] = (),
    labels: Sequence[int] = (),
    ignore: Sequence[bool] = (),
    crowd: Sequence[bool] = (),
) -> Target:
    no_flags = [False] * len(labels)
    return Target(
        as_boxes(boxes),
        torch.tensor(labels, dtype=torch.int64),
        ignore=torch.tensor(ignore or no_flags, dtype=torch.bool),
        crowd=torch.tensor(crowd or no_flags, dtype=torch.bool),
    )


def detections(
    boxes: Sequence[Box] = (), scores: Sequence[float] = (), labels: Sequence[int] = ()
) -> Detections:
    return Detections(
        as_boxes(boxes),
        torch.tensor(scores, dtype=torch.float32),
        torch.tensor(labels, dtype=torch.int64),
    )


def perfect(truth: Target) -> Detections:
    """The truth itself as detections."""
    return Detections(truth.boxes, torch.ones(len(truth)), truth.labels)


def random_data(
    seed: int, num_images: int = 6, num_classes: int = 3, *, crowds: bool = False
) -> tuple[list[Detections], list[Target]]:
    """Objects of all sizes and detections near them, with ties among scores and overlaps.

    Coordinates are quarters of a pixel, so that sums and differences of them are exact.
    """
    rng = np.random.default_rng(seed)
    pairs = [_random_image(rng, num_classes, crowds=crowds) for _ in range(num_images)]
    return [found for found, _ in pairs], [truth for _, truth in pairs]


def _random_image(
    rng: np.random.Generator, num_classes: int, *, crowds: bool
) -> tuple[Detections, Target]:
    num_objects, num_strays = rng.integers(0, 6, 2)
    corners = rng.integers(0, 4 * SIDE // 2, (num_objects, 2)) / 4
    sizes = rng.integers(4, 4 * rng.choice([20, 60, SIDE // 2], (num_objects, 1))[:, [0, 0]]) / 4
    boxes = np.concatenate([corners, corners + sizes], axis=1)
    labels = rng.integers(0, num_classes, num_objects)
    ignore = rng.random(num_objects) < 0.25
    crowd = ignore & (rng.random(num_objects) < 0.5) & crowds
    truth = Target(
        torch.from_numpy(boxes).float(),
        torch.from_numpy(labels),
        ignore=torch.from_numpy(ignore),
        crowd=torch.from_numpy(crowd),
        areas=torch.from_numpy(sizes.prod(axis=1) * rng.uniform(0.5, 1, num_objects)).float(),
    )
    near = rng.integers(0, num_objects, 2 * num_objects) if num_objects else np.zeros(0, np.int64)
    jitter = rng.integers(-6, 7, (len(near), 4)) / 4 * (rng.random((len(near), 1)) < 0.7)
    moved = boxes[near] + jitter
    stray_corners = rng.integers(0, 4 * SIDE // 2, (num_strays, 2)) / 4
    strays = np.concatenate([stray_corners, stray_corners + 20], axis=1)
    found = np.concatenate([moved, strays])
    found[:, 2:] = np.maximum(found[:, 2:], found[:, :2] + 0.25)
    found_labels = np.concatenate([labels[near], rng.integers(0, num_classes, num_strays)])
    scores = np.sort(rng.integers(1, 9, len(found)) / 8)[::-1].copy()
    order = rng.permutation(len(found))
    return Detections(
        torch.from_numpy(found[order]).float(),
        torch.from_numpy(scores).float(),
        torch.from_numpy(found_labels[order]),
    ), truth


def without_ties(found: list[Detections], seed: int) -> list[Detections]:
    """The same detections with scores of which no two are equal.

    The order of equal scores is that of the images, which in a list of drawn images is another.
    """
    count = sum(map(len, found))
    scores = torch.from_numpy(np.random.default_rng(seed).permutation(count) / max(count, 1))
    parts = torch.split(scores.float(), [len(one) for one in found])
    return [
        Detections(one.boxes, part.sort(descending=True).values, one.labels)
        for one, part in zip(found, parts, strict=True)
    ]


def grid_data(seed: int, num_classes: int) -> tuple[list[Detections], list[Target]]:
    """Boxes on a coarse grid: equal boxes, overlaps and scores, boxes without area, ignored."""
    rng = np.random.default_rng(seed)
    images = [_grid_image(rng, num_classes) for _ in range(int(rng.integers(1, 5)))]
    return [found for found, _ in images], [truth for _, truth in images]


def _grid_image(rng: np.random.Generator, num_classes: int) -> tuple[Detections, Target]:
    num_found, num_boxes = rng.integers(0, (13, 9))
    corners = 10.0 * rng.integers(0, 3, (num_found + num_boxes, 4))
    corners[:, 2:] += corners[:, :2]
    boxes, labels = corners.tolist(), rng.integers(0, num_classes, len(corners)).tolist()
    scores = np.sort(rng.integers(1, 4, num_found) / 4)[::-1].tolist()
    ignored = (rng.random(num_boxes) < 0.3).tolist()
    return (
        detections(boxes[:num_found], scores, labels[:num_found]),
        target(boxes[num_found:], labels[num_found:], ignored),
    )
