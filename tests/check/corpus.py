"""A small data set in COCO's layout, clean or with each kind of fault planted twice or more."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import UInt8
from numpy import ndarray
from PIL import Image

from tests.formats.builders import EXIF_ORIENTATION, TURNED

HEIGHT, WIDTH = 96, 128
CLASSES = ["cat", "dog", "horse", "cow", "Cat", "motorbike", "motorcycle", "bird", "fish"]
"""The first two are those of the clean part."""
QUARTERS = ((6, 5), (70, 8), (9, 52), (72, 50))
"""Corners of the boxes of an image, each of 40 by 36 pixels or so."""
Boxes = Sequence[tuple[str, Sequence[float]]]
"""Class and ``xywh``."""


def scene(seed: int) -> UInt8[ndarray, "h w 3"]:
    """A picture of large soft patches, unlike those of other seeds."""
    patches = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    return np.asarray(cv2.resize(patches, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC), np.uint8)


def four_boxes(seed: int) -> list[tuple[str, list[float]]]:
    """Two cats and two dogs, apart from one another."""
    jitter = np.random.default_rng(seed).integers(0, 5, (4, 2)).tolist()
    return [
        (CLASSES[index % 2], [x + dx, y + dy, 40 - dy, 36 - dx])
        for index, ((x, y), (dx, dy)) in enumerate(zip(QUARTERS, jitter, strict=True))
    ]


class Corpus:
    """A data set that grows, and what was planted in it.

    Attributes:
        planted: For each kind of finding, the (split, file name) of its places.
    """

    def __init__(self, root: Path, classes: Sequence[str] = CLASSES) -> None:
        self.root, self.classes = root, classes
        self.planted: dict[str, set[tuple[str, str]]] = {}
        self.content: dict[str, dict[str, list[dict[str, Any]]]] = {}
        self.seed = 0
        for split in ("train", "val"):
            (root / split).mkdir(parents=True)
            self.content[split] = {"images": [], "annotations": []}

    def image(self, split: str, name: str, seed: int | None = None, **options: Any) -> Path:  # noqa: ANN401
        """Write an image, of a new scene if no seed is given."""
        path = self.root / split / name
        Image.fromarray(scene(self.new_seed() if seed is None else seed)).save(path, **options)
        return path

    def new_seed(self) -> int:
        """A seed that no other scene has."""
        self.seed += 1
        return self.seed

    def entry(
        self,
        split: str,
        name: str,
        boxes: Boxes | None = None,
        *,
        crowd: bool = False,
        **row: Any,  # noqa: ANN401
    ) -> None:
        """List an image with boxes, four of its own by default."""
        images = self.content[split]["images"]
        images.append({"id": len(images) + 1, "file_name": name, "height": HEIGHT, "width": WIDTH})
        images[-1].update(row)
        for label, box in four_boxes(self.new_seed()) if boxes is None else boxes:
            annotations = self.content[split]["annotations"]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": images[-1]["id"],
                    "category_id": self.classes.index(label),
                    "bbox": list(box),
                    "iscrowd": int(crowd),
                }
            )

    def plant(self, kind: str, split: str, name: str) -> str:
        """Note a fault; gives the name."""
        self.planted.setdefault(kind, set()).add((split, name))
        return name

    def write(self) -> Path:
        """Write the lists of both splits."""
        used = {row["category_id"] for part in self.content.values() for row in part["annotations"]}
        categories = [{"id": label, "name": self.classes[label]} for label in sorted(used)]
        (self.root / "annotations").mkdir()
        for split, content in self.content.items():
            file = self.root / "annotations" / f"instances_{split}.json"
            file.write_text(json.dumps(content | {"categories": categories}), encoding="utf-8")
        return self.root


def clean(root: Path) -> Corpus:
    """Twelve images in train and thirteen in val, with four boxes each."""
    corpus = Corpus(root)
    for split in ("train", "val"):
        for index in range(12 + (split == "val")):
            name = f"clean{index}.jpg"
            corpus.image(split, name, quality=92)
            corpus.entry(split, name)
    return corpus


def faulty(root: Path) -> Corpus:
    """The clean data set with faults."""
    corpus = clean(root)
    for index in range(2):
        _plant_files(corpus, index)
        _plant_copies(corpus, index)
        _plant_boxes(corpus, index)
    _plant_classes(corpus)
    return corpus


def _plant_files(corpus: Corpus, index: int) -> None:
    split = ("train", "val")[index]
    corpus.entry(split, corpus.plant("missing image", split, f"missing{index}.jpg"))
    name = corpus.plant("unreadable image", split, f"zero{index}.jpg")
    (corpus.root / split / name).touch()
    corpus.entry(split, name)
    name = corpus.plant("unreadable image", split, f"half{index}.jpg")
    path = corpus.image(split, name, quality=92)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    corpus.entry(split, name)
    name = corpus.plant("images whose end is missing", split, f"end{index}.jpg")
    path = corpus.image(split, name, quality=92)
    path.write_bytes(path.read_bytes()[:-20])
    corpus.entry(split, name)
    name = corpus.plant("image rotated by EXIF", split, f"turned{index}.jpg")
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = TURNED
    corpus.image(split, name, quality=92, exif=exif)
    corpus.entry(split, name)  # The boxes refer to the image as stored.
    name = corpus.plant("size other than stated", split, f"sized{index}.jpg")
    corpus.image(split, name, quality=92)
    corpus.entry(split, name, height=HEIGHT + 50, width=WIDTH)
    name = corpus.plant("image that no split lists", "", f"unlisted{index}.jpg")
    corpus.image(split, name, quality=92)
    name = corpus.plant("image that no split lists", "", f"phone{index}.heic")
    (corpus.root / split / name).touch()
    name = corpus.plant("image without objects", split, f"empty{index}.jpg")
    corpus.image(split, name, quality=92)
    corpus.entry(split, name, [])


def _plant_copies(corpus: Corpus, index: int) -> None:
    seeds = [corpus.new_seed() for _ in range(5)]
    for seed, kind, split, other, name, options in (
        (seeds[0], "same image twice", "train", "train", "copy", {"quality": 92}),
        (seeds[1], "near-identical images", "train", "train", "near", {"quality": 75}),
        (seeds[2], "same image in two splits", "train", "val", "leak", {"quality": 92}),
        (
            seeds[3],
            "near-identical images in two splits",
            "train",
            "val",
            "nearleak",
            {"quality": 75},
        ),
    ):
        first = f"first_{name}{index}.jpg"
        corpus.image(other, first, seed, quality=92)
        corpus.entry(other, first)
        again = corpus.plant(kind, split, f"{name}{index}.jpg")
        corpus.image(split, again, seed, **options)
        corpus.entry(split, again)
    name = corpus.plant("file listed twice", "train", f"twice{index}.jpg")
    corpus.image("train", name, seeds[4], quality=92)
    boxes = four_boxes(seeds[4])
    corpus.entry("train", name, boxes[:2])
    corpus.entry("train", name, boxes[2:])


def _plant_boxes(corpus: Corpus, index: int) -> None:
    split = ("train", "val")[index]
    for kind, box in (
        ("box without area", [30, 30, 0, 20]),
        ("box outside its image", [WIDTH + 5, 10, 20, 20]),
        ("box beyond the border", [WIDTH - 16, 60, 40, 30]),
        ("boxes whose corners were swapped", [60, 90, -12, -14]),
    ):
        name = corpus.plant(kind, split, f"{kind.replace(' ', '_')}{index}.jpg")
        corpus.image(split, name, quality=92)
        corpus.entry(split, name, [*four_boxes(corpus.new_seed())[:2], ("dog", box)])
    for kind, label in (("box drawn twice", "cat"), ("object of two classes", "dog")):
        name = corpus.plant(kind, split, f"{kind.replace(' ', '_')}{index}.jpg")
        corpus.image(split, name, quality=92)
        corpus.entry(split, name, [("cat", [10, 10, 50, 50]), (label, [10, 11, 50, 50])])


def _plant_classes(corpus: Corpus) -> None:
    for label in ("motorbike", "motorcycle", "Cat"):
        name = f"{label}.jpg"
        corpus.image("train", name, quality=92)
        corpus.entry("train", name, [(label, box) for _, box in four_boxes(corpus.new_seed())])
    for label in ("horse", "cow"):
        name = f"{label}.jpg"
        corpus.image("val", name, quality=92)
        corpus.entry("val", name, [(label, [10, 10, 50, 50])])
    for label in ("bird", "fish"):
        name = f"{label}.jpg"
        corpus.image("train", name, quality=92)
        corpus.entry("train", name, [(label, [10, 10, 50, 50])], crowd=True)
