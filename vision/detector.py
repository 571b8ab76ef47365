"""`Detector`: from weights and an image to detections."""

# B images at once

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from numpy import ndarray

from vision.config import change_post_process
from vision.errors import ConfigError
from vision.images import resize
from vision.model import PostProcess, build_post_process
from vision.runtime import Backend, Precision, RuntimeOptions, Session, load_runnable
from vision.structures import Detections

__all__ = ["Detector"]


class Detector:
    """A trained detector, ready to call; several threads may do so at once.

    Args:
        session: Runs the network.
        post_process: From what it gives to detections.
        names: Class names in label order.

    Attributes:
        names: Class names in label order.
        image_size: (height, width) that images are stretched to.
    """

    def __init__(self, session: Session, post_process: PostProcess, names: Sequence[str]) -> None:
        self.names = list(names)
        self.image_size = session.image_size
        self._session = session
        self._post_process = post_process

    @classmethod
    def load(
        cls,
        weights: str | Path = "coco",
        score: float | Mapping[str, float] = 0.4,
        device: str | torch.device | None = None,
        *,
        backend: Backend | None = None,
        precision: Precision | None = None,
        threads: int | None = None,
        streams: int = 1,
        postprocess: Mapping[str, Any] | None = None,
    ) -> "Detector":
        """A detector from a weights file or an exported graph, warmed up.

        Args:
            weights: A file that training or ``ssdlite export`` wrote (.safetensors, .onnx, .xml), a
                run folder, or a detector in the package: ``coco`` (80 classes), ``voc`` (20).
            score: Detections below are left out; in [0, 1]. By class name, classes that are not
                named are left out altogether, unless ``""`` names a score for them.
            device: ``cpu``, ``cuda``, ...; None picks CUDA where PyTorch has one.
            backend: ``torch``, ``onnx`` (ONNX Runtime) or ``openvino``; None for what the file is
                of, and PyTorch for a weights file. From a weights file the others export first,
                which takes some seconds.
            precision: ``fp32``, unless it is asked for otherwise or exported so: ``bf16``,
                ``fp16`` (GPUs) or ``int8`` (exported files).
            threads: For one call; None for what the backend takes by itself. PyTorch's number
                is that of the whole process.
            streams: Calls that are to run at once, from several threads.
            postprocess: What to change of ``model.postprocess`` as trained, such as
                ``{"suppression": "soft_nms", "class_agnostic": True, "max_detections": 20}``.

        Raises:
            WeightsError: If the file is missing, damaged or none of ours.
            ConfigError: If the score is out of range, or the detector cannot be run so here.
        """
        where = None if device is None else str(device)
        runnable = load_runnable(
            weights, RuntimeOptions(backend, where, precision, threads, streams)
        )
        model = runnable.config.model
        if postprocess:
            model = change_post_process(model, postprocess)
        post_process = build_post_process(model)
        post_process.score_threshold = _thresholds(score, runnable.names)
        detector = cls(runnable.session, post_process, runnable.names)
        detector(np.zeros((*detector.image_size, 3), np.uint8))
        return detector

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
        batch = torch.from_numpy(pixels).permute(0, 3, 1, 2)
        sizes = [(image.shape[0], image.shape[1]) for image in images]
        found = self._post_process(self._session(batch), sizes)
        return [detections.to("cpu") for detections in found]


def _thresholds(
    score: float | Mapping[str, float], names: Sequence[str]
) -> float | Float32[torch.Tensor, "C"]:
    """What a detection of each class must score above."""
    by_name = score if isinstance(score, Mapping) else {"": score}
    for name, value in by_name.items():
        if not 0 <= value <= 1:
            of_name = f" of {name}" if name else ""
            raise ConfigError(f"score{of_name}: expected a number from 0 to 1, got {value}")
    if not isinstance(score, Mapping):
        return score
    unknown = [name for name in score if name and name not in names]
    if unknown:
        near = difflib.get_close_matches(unknown[0], names, n=1)
        hint = f"did you mean {near[0]}?" if near else f"it knows {', '.join(names)}"
        raise ConfigError(f"the detector knows no class {unknown[0]}; {hint}")
    return torch.tensor([score.get(name, score.get("", 1.0)) for name in names])


def _check_image(image: object) -> None:
    """Raise ValueError unless an image is what the detector takes."""
    if not isinstance(image, ndarray):
        raise ValueError(f"image: expected a NumPy array, got {type(image).__name__}")  # noqa: TRY004
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise ValueError(
            f"image: expected uint8 RGB of shape (height, width, 3), got {image.dtype} of shape"
            f" {image.shape}; vision.images.read_image gives that"
        )
