"""`Detections`: the objects found in one image, to iterate over, draw, crop and export."""

# n boxes of one image, h and w the height and width of an image

import html
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, overload

import torch
from jaxtyping import Bool, Float32, Int64, UInt8
from numpy import int64, ndarray
from PIL import Image
from torch import Tensor

import vision.boxes as box_ops
from vision.draw import draw_detections
from vision.errors import DataError
from vision.extras import require_package
from vision.image_inputs import ImageInput, to_rgb
from vision.rows import Detection, describe_counts, rows_html, rows_text

_SHOWN_SIDE = 800
"""Maximum length in pixels of the longer side of a picture in a notebook."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Detections:
    """The objects detected in one image, highest score first.

    It is a sequence of `Detection`; a mask, an index tensor or a slice selects `Detections`.

    Attributes:
        boxes: ``xyxy`` in pixels of an image of ``size``.
        scores: Confidences in [0, 1], in descending order.
        labels: Class indices from 0.
        size: (height, width) of the image that the boxes refer to; None where it is unknown.
        names: Class names in label order, if they are known.
        image: The image as it was passed, not a copy; for `draw`, `crops` and notebooks.
    """

    boxes: Float32[Tensor, "n 4"]
    scores: Float32[Tensor, "n"]
    labels: Int64[Tensor, "n"]
    size: tuple[int, int] | None = None
    names: Sequence[str] | None = None
    image: ImageInput | None = None

    def __post_init__(self) -> None:
        columns = {"scores": (self.scores, torch.float32), "labels": (self.labels, torch.int64)}
        box_ops.check_columns("Detections", self.boxes, columns)

    def __len__(self) -> int:
        return len(self.boxes)

    def __iter__(self) -> Iterator[Detection]:
        columns = (self.labels.tolist(), self.scores.tolist(), self.boxes.tolist())
        for label, score, box in zip(*columns, strict=True):
            yield Detection(label, self._name(label), score, tuple(box))

    @overload
    def __getitem__(self, index: int | int64) -> Detection: ...
    @overload
    def __getitem__(
        self, index: Bool[Tensor, "n"] | Int64[Tensor, "kept"] | slice
    ) -> "Detections": ...
    def __getitem__(
        self, index: int | int64 | Bool[Tensor, "n"] | Int64[Tensor, "..."] | slice
    ) -> "Detection | Detections":
        """The detection at an index, or the `Detections` of a mask, an index tensor or a slice."""
        if isinstance(index, int | int64) or (isinstance(index, Tensor) and not index.ndim):
            if not -len(self) <= index < len(self):
                raise IndexError(f"there are {len(self)} detections, none with index {index}")
            place = int(index) % len(self)
            return next(iter(self[place : place + 1]))
        return replace(
            self, boxes=self.boxes[index], scores=self.scores[index], labels=self.labels[index]
        )

    def __repr__(self) -> str:
        of_image = f" in {self.size[1]} x {self.size[0]} pixels" if self.size else ""
        return f"Detections({self.summary()}{of_image}){rows_text(list(self))}"

    @classmethod
    def empty(cls, size: tuple[int, int] | None = None) -> "Detections":
        """Detections of an image without objects."""
        labels = torch.zeros(0, dtype=torch.int64)
        return cls(torch.zeros(0, 4), torch.zeros(0), labels, size)

    def scale_to(self, size: tuple[int, int]) -> "Detections":
        """Scale the boxes to the image resized to ``size`` (height, width); ``image`` is dropped.

        Raises:
            ValueError: If the size of the boxes' image is unknown.
        """
        if self.size is None:
            raise ValueError("Detections.scale_to: the size of the boxes' image is unknown")
        boxes = box_ops.scale(self.boxes, self.size, size)
        return replace(self, boxes=boxes, size=size, image=None)

    def to(self, device: torch.device | str) -> "Detections":
        """Copy the detections to ``device``."""
        boxes, scores, labels = (x.to(device) for x in (self.boxes, self.scores, self.labels))
        return replace(self, boxes=boxes, scores=scores, labels=labels)

    def draw(self, image: ImageInput | None = None) -> UInt8[ndarray, "h w 3"]:
        """Draw boxes and tags such as ``dog 0.87`` on an RGB copy of the image.

        Args:
            image: An image in any form that `Detector` takes; None for the attribute ``image``.

        Raises:
            DataError: If there is no image, or its size is not ``size``.
        """
        last = max(self.labels.tolist(), default=-1)
        names = self.names or [str(label) for label in range(last + 1)]
        return draw_detections(self._pixels(image), self, names)

    def crops(self, image: ImageInput | None = None) -> list[UInt8[ndarray, "_ _ 3"]]:
        """Cut each box out of the image, RGB, at least one pixel; argument and errors as `draw`."""
        pixels = self._pixels(image)
        height, width = pixels.shape[:2]
        crops = []
        for x0, y0, x1, y1 in self.boxes.round().int().tolist():
            left, top = min(max(x0, 0), width - 1), min(max(y0, 0), height - 1)
            crops.append(pixels[top : max(y1, top + 1), left : max(x1, left + 1)].copy())
        return crops

    def summary(self) -> str:
        """Count the objects of each class: ``2 persons, 1 dog``, or ``nothing``."""
        return describe_counts(Counter(row.name for row in self))

    def to_dict(self) -> dict[str, Tensor]:
        """``{"boxes", "scores", "labels"}``; for labels from 1, see `to_torchvision`."""
        return {"boxes": self.boxes, "scores": self.scores, "labels": self.labels}

    def to_list(self) -> list[dict[str, Any]]:
        """A dictionary for each detection, as in ``detections.json``: ``label, score, box``.

        As in all files, ``label`` is the class's name.
        """
        return [{"label": row.name, "score": row.score, "box": list(row.box)} for row in self]

    def to_pandas(self) -> Any:  # noqa: ANN401
        """A `pandas.DataFrame` with the columns ``label, score, x0, y0, x1, y1``.

        As in all files, ``label`` is the class's name.

        Raises:
            ConfigError: If pandas is not installed.
        """
        columns = ["label", "score", "x0", "y0", "x1", "y1"]
        rows = [(row.name, row.score, *row.box) for row in self]
        return require_package("pandas", "pandas").DataFrame(rows, columns=columns)

    def _repr_png_(self) -> bytes | None:
        """The drawn image as a PNG for a notebook; None without an image."""
        if self.image is None:
            return None
        picture = Image.fromarray(self.draw())
        picture.thumbnail((_SHOWN_SIDE, _SHOWN_SIDE))
        buffer = io.BytesIO()
        picture.save(buffer, "PNG")
        return buffer.getvalue()

    def _repr_html_(self) -> str | None:
        """An HTML table for a notebook; None with an image, which `_repr_png_` shows instead."""
        if self.image is not None:
            return None
        return f"<p>{html.escape(self.summary())}</p>{rows_html(list(self))}"

    def _name(self, label: int) -> str:
        return str(label) if self.names is None else self.names[label]

    def _pixels(self, image: ImageInput | None) -> UInt8[ndarray, "h w 3"]:
        """The RGB pixels of the image that the boxes refer to; DataError if it does not fit."""
        given = self.image if image is None else image
        if given is None:
            raise DataError("these detections came without their image; pass it, as in draw(image)")
        pixels = to_rgb(given)
        if self.size is not None and pixels.shape[:2] != self.size:
            height, width = self.size
            raise DataError(
                f"the boxes refer to an image of {width} x {height} pixels, but this one has"
                f" {pixels.shape[1]} x {pixels.shape[0]}; first call scale_to(image.shape[:2])"
            )
        return pixels
