"""`Detector`: from weights and an image to detections."""

# N images, H W height and width of the network's input, C classes

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, overload

import numpy as np
import torch
from jaxtyping import UInt8
from numpy import ndarray
from torch import Tensor

from vision.config import change_post_process
from vision.images import resize
from vision.model import PostProcess, SSDLite, build_post_process
from vision.runtime import (
    USUAL_SCORE,
    Precision,
    RuntimeOptions,
    Score,
    Session,
    build_session,
    open_session,
    score_thresholds,
)
from vision.structures import Detections

Image = UInt8[ndarray, "_ _ 3"]


class Detector:
    """A trained detector, ready to call; several threads may do so at once.

    Args:
        session: Runs the network.
        post_process: From what it gives to detections.
        names: Class names in label order.
        training: How it was trained: epoch, metrics, versions.
        score: As for `Detector.load`.

    Attributes:
        image_size: (height, width) that images are stretched to.
        post_process: From what the network gives to detections.

    Raises:
        ConfigError: If the score is out of range, or of a class that is not among the names.
    """

    def __init__(
        self,
        session: Session,
        post_process: PostProcess,
        names: Sequence[str],
        training: Mapping[str, Any] = MappingProxyType({}),
        *,
        score: Score | Mapping[str, Score] | None = None,
    ) -> None:
        self.session = session
        self.names = list(names)
        self.training = training
        self.image_size = session.image_size
        self.post_process = post_process
        self._threshold = None
        if score is not None:
            self._threshold = score_thresholds(score, self.names, training.get("thresholds"))

    @classmethod
    def load(
        cls,
        weights: str | Path = "coco",
        score: Score | Mapping[str, Score] | None = USUAL_SCORE,
        device: str | torch.device | None = None,
        *,
        backend: str | None = None,
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
                named are left out altogether, unless ``""`` names a score for them. ``best`` for
                the score of each class that had the highest F1 on the validation data; classes
                without one there have 0.4. None for ``model.postprocess.score_threshold``, which
                is low for average precision.
            device: ``cpu``, ``cuda``, ...; None picks CUDA where PyTorch has it.
            backend: ``torch``, or ``onnx`` or ``openvino``, which export a weights file first in
                some seconds; None for the one that the file was written for.
            precision: ``fp32``, ``bf16``, ``fp16`` (GPUs) or ``int8`` (exported files); None for
                that of an exported file, and fp32 for a weights file.
            threads: Of one call, or of the process in PyTorch; None for the backend's own default.
            streams: Number of calls that run at once, from several threads.
            postprocess: Keys of ``model.postprocess`` to change: ``{"suppression": "soft_nms"}``.

        Raises:
            WeightsError: If the file is missing, damaged, not written by ssdlite, or has no best
                scores.
            ConfigError: If the score is out of range, or this machine cannot meet the options.
        """
        device = None if device is None else str(device)
        options = RuntimeOptions(backend, device, precision, threads, streams)
        session, metadata = open_session(weights, options)
        model = change_post_process(metadata.config.model, postprocess or {})
        post_process = build_post_process(model)
        detector = cls(session, post_process, metadata.names, metadata.training, score=score)
        detector(np.zeros((*detector.image_size, 3), np.uint8))
        return detector

    @classmethod
    def from_model(
        cls,
        model: SSDLite,
        post_process: PostProcess,
        names: Sequence[str],
        *,
        score: Score | Mapping[str, Score] | None = None,
        options: RuntimeOptions = RuntimeOptions(),  # noqa: B008 - frozen
    ) -> "Detector":
        """A detector of a copy of a network in memory.

        Args:
            model: The network, on any device.
            post_process: From what it gives to detections; `vision.model.build_post_process`.
            names: Class names in label order.
            score: As for `Detector.load`.
            options: What to run it on.

        Raises:
            ConfigError: If this machine cannot run it with these options.
        """
        return cls(build_session(model, options), post_process, names, score=score)

    @overload
    def __call__(self, images: Image) -> Detections: ...
    @overload
    def __call__(self, images: Sequence[Image]) -> list[Detections]: ...
    def __call__(self, images: Image | Sequence[Image]) -> Detections | list[Detections]:
        """Detections in each image's own pixels, highest score first, on the CPU.

        Args:
            images: One RGB image, uint8 of shape (height, width, 3), or a list of them.

        Raises:
            ValueError: If an image is of another type or shape.
        """
        if isinstance(images, ndarray):
            return self([images])[0]
        if not len(images):
            return []
        for image in images:
            _check_image(image)
        pixels = np.stack([resize(image, self.image_size) for image in images])
        batch = torch.from_numpy(pixels).permute(0, 3, 1, 2)
        return self.detect_batch(batch, [(image.shape[0], image.shape[1]) for image in images])

    def detect_batch(
        self,
        images: UInt8[Tensor, "N 3 H W"] | Sequence[UInt8[Tensor, "3 H W"]],
        sizes: Sequence[tuple[int, int]] | None = None,
    ) -> list[Detections]:
        """Detections in images that have been resized, highest score first, on the CPU.

        Args:
            images: RGB, of the network's ``image_size``; in channels-last memory nothing is copied.
            sizes: (height, width) of the images that boxes refer to; None for ``image_size``.

        Raises:
            ValueError: If there are not as many sizes as images.
        """
        batch = images if isinstance(images, Tensor) else torch.stack(list(images))
        sizes = [self.image_size] * len(batch) if sizes is None else sizes
        detections = self.post_process(self.session(batch), sizes, self._threshold)
        return [one.to("cpu") for one in detections]


def _check_image(image: object) -> None:
    found = type(image).__name__
    if isinstance(image, ndarray):
        if image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3 and image.size:
            return
        found = f"{image.dtype} of shape {image.shape}"
    expected = "expected uint8 RGB of shape (height, width, 3), as vision.images.read_image gives"
    raise ValueError(f"image: {expected}, got {found}")
