"""Loaders of other projects, with which `tests.benchmarks.loader` compares ours."""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy import ndarray
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset
from torchvision import tv_tensors
from torchvision.transforms import v2

from vision.formats import Record

FILL = {tv_tensors.Image: (123.0, 117.0, 104.0), Image.Image: (123, 117, 104)}


class TorchvisionReference(Dataset[tuple[Tensor, Tensor]]):
    """The presets ``ssdlite`` and ``ssd`` of torchvision's reference script for detection.

    Resizing, which its model does, is done here, as ours is.
    """

    def __init__(
        self, records: Sequence[Record], image_size: int, backend: str, preset: str
    ) -> None:
        self.records = records
        transforms = [v2.PILToTensor()] if backend == "tensor" else []
        if preset == "ssd":
            transforms += [v2.RandomPhotometricDistort(), v2.RandomZoomOut(fill=FILL)]
        transforms += [v2.RandomIoUCrop(), v2.RandomHorizontalFlip()]
        transforms += [v2.PILToTensor()] if backend == "pil" else []
        resized = v2.Resize([image_size, image_size], antialias=False)
        transforms += [v2.ToDtype(torch.float32, scale=True), v2.SanitizeBoundingBoxes(), resized]
        self.transform = v2.Compose(transforms)

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        record = self.records[index]
        image = Image.open(record.image_id).convert("RGB")
        boxes = tv_tensors.BoundingBoxes(
            torch.from_numpy(record.boxes), format="XYXY", canvas_size=record.size
        )
        labels = torch.zeros(len(boxes), dtype=torch.int64)
        sample = self.transform({"image": image, "boxes": boxes, "labels": labels})
        return sample["image"], sample["boxes"]


class Letterbox(Dataset[tuple[UInt8[Tensor, "3 H W"], Float[Tensor, "n 4"]]]):
    """What Ultralytics' loader does to an image without mosaic and colour: letterbox and flip."""

    def __init__(self, records: Sequence[Record], image_size: int) -> None:
        self.records = records
        self.side = image_size

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        record = self.records[index]
        data = np.fromfile(record.image_id, np.uint8)
        image = cv2.imdecode(data, cv2.IMREAD_COLOR)
        assert image is not None
        height, width = image.shape[:2]
        ratio = self.side / max(height, width)
        size_wh = round(width * ratio), round(height * ratio)
        pixels: ndarray = cv2.resize(image, size_wh, interpolation=cv2.INTER_LINEAR)
        x, y = (self.side - size_wh[0]) // 2, (self.side - size_wh[1]) // 2
        rest = self.side - size_wh[1] - y, self.side - size_wh[0] - x
        pixels = cv2.copyMakeBorder(
            pixels, y, rest[0], x, rest[1], cv2.BORDER_CONSTANT, value=(114, 114, 114)
        )
        boxes = record.boxes * ratio + np.array([x, y, x, y], np.float32)
        if torch.rand(()) < 0.5:
            pixels = np.fliplr(pixels)
            boxes[:, [0, 2]] = self.side - boxes[:, [2, 0]]
        pixels = np.ascontiguousarray(pixels.transpose(2, 0, 1)[::-1])
        return torch.from_numpy(pixels), torch.from_numpy(boxes)
