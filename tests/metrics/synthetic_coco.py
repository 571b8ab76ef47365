"""Synthetic ground truth and detections in COCO's formats, of any size."""

# n boxes

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray

NUM_CLASSES = 80
SIZE = (480, 640)
NEAR = 4
"""Detections around each box; the others are false positives of low score."""


class Rows(NamedTuple):
    """Boxes ``xywh`` with the index of their image, and their class."""

    images: Int64[ndarray, "n"]
    labels: Int64[ndarray, "n"]
    boxes: Float64[ndarray, "n 4"]


def write_coco_files(
    folder: Path, seed: int, num_images: int, num_boxes: int, num_detections: int
) -> tuple[Path, Path]:
    """Write an instances file and a file of results.

    Sizes, ids, crowds and areas are like COCO's, boxes in hundredths of a pixel; detections are
    float32 numbers, as detectors write them. Half of the false positives have a class that their
    image has.
    """
    random = np.random.default_rng(seed)
    image_ids = (np.sort(random.choice(600_000, num_images, replace=False)) + 1).tolist()
    truth = _truth(random, num_images, num_boxes)
    near = np.repeat(np.arange(num_boxes), NEAR)[:num_detections]
    noise = random.normal(0, 0.25, (len(near), 4)) * random.random((len(near), 1))
    scores = np.exp(-4 * np.abs(noise).sum(axis=1)) * random.beta(5, 2, len(near))
    moved = truth.boxes[near] + noise * truth.boxes[near][:, [2, 3, 2, 3]]
    strays = _strays(random, truth, num_images, num_detections - len(near))
    found = Rows(
        np.append(truth.images[near], strays.images),
        np.append(truth.labels[near], strays.labels),
        np.concatenate([moved, strays.boxes]),
    )
    scores = np.append(scores, 0.4 * random.beta(1, 8, len(strays.labels)))
    paths = folder / "truth.json", folder / "found.json"
    paths[0].write_text(json.dumps(_instances(random, image_ids, truth)), encoding="utf-8")
    paths[1].write_text(json.dumps(_results(image_ids, found, scores)), encoding="utf-8")
    return paths


def _truth(random: np.random.Generator, num_images: int, num_boxes: int) -> Rows:
    images = np.sort(random.integers(0, num_images, num_boxes))
    frequencies = 1 / np.arange(1, NUM_CLASSES + 1)
    labels = random.choice(NUM_CLASSES, num_boxes, p=frequencies / frequencies.sum())
    # An image has several objects of a class.
    like_previous = (np.diff(images, prepend=-1) == 0) & (random.random(num_boxes) < 0.6)
    first = np.maximum.accumulate(np.where(like_previous, 0, np.arange(num_boxes)))
    return Rows(images, labels[first], _boxes(random, num_boxes).round(2))


def _strays(random: np.random.Generator, truth: Rows, num_images: int, count: int) -> Rows:
    like = random.integers(0, len(truth.labels), count)
    is_like = random.random(count) < 0.5
    images = np.where(is_like, truth.images[like], random.integers(0, num_images, count))
    labels = np.where(is_like, truth.labels[like], random.integers(0, NUM_CLASSES, count))
    return Rows(images, labels, _boxes(random, count))


def _boxes(random: np.random.Generator, count: int) -> Float64[ndarray, "n 4"]:
    height, width = SIZE
    sides = np.exp(random.normal(4, 0.9, (count, 1)) + random.normal(0, 0.3, (count, 2)))
    sides = np.minimum(sides, [width, height])
    corners = random.random((count, 2)) * ([width, height] - sides)
    return np.concatenate([corners, sides], axis=1)


def _instances(random: np.random.Generator, image_ids: list[int], truth: Rows) -> dict[str, object]:
    height, width = SIZE
    areas = (truth.boxes[:, 2:].prod(axis=1) * random.uniform(0.4, 0.9, len(truth.boxes))).tolist()
    crowds = (random.random(len(areas)) < 0.012).astype(int).tolist()
    columns = zip(*(part.tolist() for part in truth), areas, crowds, strict=True)
    annotations = [
        {
            "id": number,
            "image_id": image_ids[image],
            "category_id": label + 1,
            "bbox": box,
            "area": area,
            "iscrowd": crowd,
        }
        for number, (image, label, box, area, crowd) in enumerate(columns, start=1)
    ]
    images = [
        {"id": image_id, "file_name": f"{image_id:012}.jpg", "height": height, "width": width}
        for image_id in image_ids
    ]
    categories = [{"id": label + 1, "name": f"class {label}"} for label in range(NUM_CLASSES)]
    return {"images": images, "annotations": annotations, "categories": categories}


def _results(
    image_ids: list[int], found: Rows, scores: Float64[ndarray, "n"]
) -> list[dict[str, object]]:
    """The detections, image after image."""
    boxes, scores = found.boxes.astype(np.float32), scores.astype(np.float32)
    boxes[:, 2:] = np.maximum(boxes[:, 2:], 0)
    order = np.argsort(found.images, kind="stable")
    columns = (found.images, found.labels, boxes, scores)
    return [
        {"image_id": image_ids[image], "category_id": label + 1, "bbox": box, "score": score}
        for image, label, box, score in zip(*(c[order].tolist() for c in columns), strict=True)
    ]
