"""`Detector`: from weights and an image to detections."""

# B images at once

from collections.abc import Sequence
from pathlib import Path
from typing import overload

import numpy as np
import torch
from jaxtyping import UInt8
from numpy import ndarray

from vision.errors import ConfigError
from vision.images import resize
from vision.model import PostProcess, SSDLite, build_post_process, fuse
from vision.model.weights import load_weights
from vision.structures import Detections

__all__ = ["Detector", "choose_device"]


class Detector:
    """A trained detector, ready to call.

    Args:
        model: The network, evaluated as it is.
        post_process: From its predictions to detections.
        names: Class names in label order.
        device: Where it runs.

    Attributes:
        names: Class names in label order.
    """

    def __init__(
        self,
        model: SSDLite,
        post_process: PostProcess,
        names: Sequence[str],
        device: torch.device | str = "cpu",
    ) -> None:
        self.names = list(names)
        self.device = torch.device(device)
        self.image_size = model.image_size
        self._network = fuse(model).to(self.device).to(memory_format=torch.channels_last)
        self._post_process = post_process.to(self.device)

    @classmethod
    def load(
        cls, weights: str | Path, score: float = 0.4, device: str | torch.device | None = None
    ) -> "Detector":
        """A detector from a weights file.

        Args:
            weights: A file that training wrote.
            score: Detections below are left out; in [0, 1].
            device: ``cpu``, ``cuda``, ...; None picks CUDA where there is one.

        Raises:
            WeightsError: If the file is missing or is none of ours.
            ConfigError: If the score is out of range or the device cannot be had.
        """
        if not 0 <= score <= 1:
            raise ConfigError(f"score: expected a number from 0 to 1, got {score}")
        saved = load_weights(weights)
        post_process = build_post_process(saved.config.model, saved.model)
        post_process.score_threshold = score
        return cls(saved.model, post_process, saved.names, choose_device(device or "auto"))

    @overload
    def __call__(self, images: UInt8[ndarray, "h w 3"]) -> Detections: ...
    @overload
    def __call__(self, images: Sequence[UInt8[ndarray, "_ _ 3"]]) -> list[Detections]: ...
    def __call__(
        self, images: UInt8[ndarray, "h w 3"] | Sequence[UInt8[ndarray, "_ _ 3"]]
    ) -> Detections | list[Detections]:
        """Detections in each image's own pixels, highest score first, on the CPU.

        Args:
            images: One RGB image, uint8 of shape (height, width, 3), or a list of them.

        Raises:
            ValueError: If an image is of another type or shape.
        """
        if isinstance(images, ndarray):
            return self._detect([images])[0]
        return self._detect(images) if len(images) else []

    def _detect(self, images: Sequence[UInt8[ndarray, "_ _ 3"]]) -> list[Detections]:
        for image in images:
            _check_image(image)
        pixels = np.stack([resize(image, self.image_size) for image in images])
        batch = torch.from_numpy(pixels).permute(0, 3, 1, 2).to(self.device)
        sizes = [(image.shape[0], image.shape[1]) for image in images]
        with torch.inference_mode():
            found = self._post_process(self._network(batch), sizes)
        return [detections.to("cpu") for detections in found]


def _check_image(image: object) -> None:
    """Raise ValueError unless an image is what the detector takes."""
    if not isinstance(image, ndarray):
        raise ValueError(f"image: expected a NumPy array, got {type(image).__name__}")  # noqa: TRY004
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise ValueError(
            f"image: expected uint8 RGB of shape (height, width, 3), got {image.dtype} of shape"
            f" {image.shape}; vision.images.read_image gives that"
        )


def choose_device(name: str | torch.device) -> torch.device:
    """The device of a name; ``auto`` is CUDA where there is one, else the CPU.

    Raises:
        ConfigError: If there is no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError, ImportError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"device {name} cannot be used: {reason}; try cpu") from error
    return device
