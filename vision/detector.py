"""`Detector`: from weights and images to detections."""

# N images, H W height and width of the network's input, h w those of a picture

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from os import PathLike
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias, overload

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from numpy import ndarray
from PIL import Image
from torch import Tensor

from vision.config import change_post_process
from vision.detections import Detections
from vision.device import choose_device, num_cores
from vision.errors import ConfigError, DataError
from vision.image_inputs import ImageInput, are_many, to_rgb
from vision.images import resize
from vision.media import VIDEO_SUFFIXES, read_frames
from vision.model import PostProcess, SSDLite, build_post_process
from vision.runtime import (
    BACKENDS,
    USUAL_SCORE,
    Precision,
    RuntimeOptions,
    Scores,
    Session,
    build_session,
    only_classes,
    open_session,
    score_thresholds,
)
from vision.runtime.fixed_batches import Finish
from vision.runtime.torch_backend import TorchSession
from vision.tiles import Tile, Tiles, merge_tiles, place_tiles
from vision.urls import is_url

OneImage: TypeAlias = str | Path | bytes | Image.Image
Names: TypeAlias = str | Sequence[str] | None
Threshold: TypeAlias = float | Float32[Tensor, "C"] | None
MAX_BATCH = 64
"""Maximum number of images of a list, or tiles of an image, in one pass of the network."""


class Detector:
    """A trained detector, ready to call; several threads may do so at once.

    Weights are loaded with `Detector.load`.

    Args:
        session: Runs the network.
        post_process: From what it gives to detections.
        names: Class names in label order.
        training: How it was trained: epoch, metrics, versions.
        score: As for `Detector.load`.

    Attributes:
        session: Runs the network; its ``options`` are backend, device and precision.
        post_process: From what the network gives to detections.
        training: How it was trained: epoch, metrics, versions.
        tiles: As for `Detector.load`, 1 by default; it can be set.

    Raises:
        ConfigError: If the score is out of range, or of a class that is not among the names.
        TypeError: If it is given weights.
    """

    # Without others, an attribute that would have no effect cannot be set.
    __slots__ = (
        "__weakref__",
        "_names",
        "_score",
        "_threshold",
        "post_process",
        "session",
        "tiles",
        "training",
    )

    def __new__(cls, *args: object, **_: object) -> "Detector":  # noqa: PYI034 - from Python 3.11
        """Refuse weights, which `load` takes."""
        if args and isinstance(args[0], str | PathLike):
            raise TypeError(f'load weights with Detector.load("{args[0]}")')
        return super().__new__(cls)

    def __init__(
        self,
        session: Session,
        post_process: PostProcess,
        names: Sequence[str],
        training: Mapping[str, Any] = MappingProxyType({}),
        *,
        score: Scores | None = None,
    ) -> None:
        self.session = session
        self._names = tuple(names)
        self.training = training
        self.post_process = post_process
        self.score = score
        self.tiles: Tiles = 1

    def __repr__(self) -> str:
        names, options = self.names, self.session.options
        shown = ", ".join(names[:4]) + (", ..." if names[4:] else "")
        height, width = self.image_size
        return (
            f"Detector({len(names)} classes ({shown}), {width} x {height} pixels,"
            f" {BACKENDS[options.backend or 'torch'].title} {options.precision} on"
            f" {options.device}, score {self.score})"
        )

    @property
    def names(self) -> list[str]:
        """Class names in label order."""
        return list(self._names)

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) that images are stretched to."""
        return self.session.image_size

    @property
    def score(self) -> Scores | None:
        """The score below which detections are left out, as for `Detector.load`; it can be set."""
        return self._score

    @score.setter
    def score(self, score: Scores | None) -> None:
        """Set the score; `ConfigError` if it is out of range or of a class without a name."""
        self._threshold: Threshold = None if score is None else self._thresholds(score)
        self._score = score

    @classmethod
    def load(  # noqa: PLR0913 - named, but for three
        cls,
        weights: str | Path = "coco",
        score: Scores | None = USUAL_SCORE,
        device: str | torch.device | None = None,
        *,
        backend: str | None = None,
        precision: Precision | None = None,
        threads: int | None = None,
        streams: int = 1,
        tiles: Tiles = 1,
        postprocess: Mapping[str, Any] | None = None,
    ) -> "Detector":
        """A detector from a weights file or an exported graph, warmed up.

        Args:
            weights: A file that training or ``ssdlite export`` wrote (.safetensors, .onnx, .xml), a
                run folder, a file on the Hugging Face Hub (``hf://user/name``), or a detector in
                the package: ``coco`` (80 classes), ``voc`` (20).
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
            tiles: For small objects, detect in so many overlapping tiles along each side too, up to
                16, and merge what is found; ``auto`` for tiles of about the network's size, at most
                16. It takes as many times as long. `detect_batch` has no tiles.
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
        detector.tiles = tiles
        detector(np.zeros((*detector.image_size, 3), np.uint8))
        return detector

    @classmethod
    def from_model(
        cls,
        model: SSDLite,
        post_process: PostProcess,
        names: Sequence[str],
        *,
        score: Scores | None = None,
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

    def to(self, device: str | torch.device) -> "Detector":
        """Move the network to another device, and return the detector itself.

        Raises:
            ConfigError: If the device cannot be used, or the backend is not PyTorch.
        """
        if not isinstance(self.session, TorchSession):
            backend = self.session.options.backend
            raise ConfigError(
                f"a detector in the backend {backend} cannot be moved; load it with"
                f' Detector.load(weights, device="{device}")'
            )
        self.session.move(choose_device(device))
        return self

    @overload
    def __call__(  # type: ignore[overload-overlap]  # a text is a sequence of texts
        self, images: OneImage, *, score: Scores | None = None, classes: Names = None
    ) -> Detections: ...
    @overload
    def __call__(  # one image or a stack of them
        self, images: ndarray | Tensor, *, score: Scores | None = None, classes: Names = None
    ) -> Any: ...  # noqa: ANN401
    @overload
    def __call__(
        self, images: Iterator[ImageInput], *, score: Scores | None = None, classes: Names = None
    ) -> Iterator[Detections]: ...
    @overload
    def __call__(
        self, images: Sequence[ImageInput], *, score: Scores | None = None, classes: Names = None
    ) -> list[Detections]: ...
    def __call__(
        self, images: Any, *, score: Scores | None = None, classes: Names = None
    ) -> Detections | list[Detections] | Iterator[Detections]:
        """Detections in each image's own pixels, highest score first, on the CPU.

        Args:
            images: One image in any form that `vision.image_inputs.to_rgb` takes: a path, an http
                URL, the bytes of a file, a PIL image, an array (h, w), (h, w, 3) or (h, w, 4), or a
                tensor (3, h, w). Or many: a list of these, an array (N, h, w, 3), a tensor
                (N, 3, h, w), or an iterator of these.
            score: In place of the detector's own, for this call.
            classes: Names; detections of other classes are left out.

        Returns:
            `Detections` of one image, a list of them for many, and for an iterator (a generator)
            an iterator that reads one image at a time.

        Raises:
            DataError: If an image is of another form, or cannot be read.
            ConfigError: If a score is out of range, or a class is not among the names.
        """
        threshold = self._threshold_of(score, classes)
        if isinstance(images, Iterator) and are_many(images):
            return (self._detect([image], threshold)[0] for image in images)
        if not are_many(images):
            return self._detect([images], threshold)[0]
        remaining, length = iter(images), MAX_BATCH if self.tiles == 1 else 1
        batches = iter(lambda: list(islice(remaining, length)), [])
        started = (self._start(batch, threshold) for batch in batches)
        return [one for found in _one_ahead(started) for one in found]

    def stream(
        self,
        source: str | Path | int | Sequence[str | Path | int],
        *,
        stride: int = 1,
        score: Scores | None = None,
        classes: Names = None,
    ) -> Iterator[tuple[UInt8[ndarray, "h w 3"], Detections]]:
        """Each frame, RGB, with the detections in it, while it is read.

        Args:
            source: What ``ssdlite detect`` takes: an image, a film, a folder, a glob pattern, a
                .txt list, the URL of a stream, the number of a camera; or a list of these.
            stride: Every n-th frame of films and streams is read.
            score: In place of the detector's own.
            classes: Names; detections of other classes are left out.

        Yields:
            Frames in order. An image in a folder or film that cannot be read is logged and left
            out; where it is the only one, it raises.

        Raises:
            DataError: If a source does not exist.
            ConfigError: As calling the detector.
        """
        threshold = self._threshold_of(score, classes)
        frames = read_frames(source, stride)
        return ((frame, self._detect([frame], threshold)[0]) for frame in frames)

    def detect_batch(
        self,
        images: UInt8[Tensor, "N 3 H W"],
        sizes: Sequence[tuple[int, int]],
    ) -> list[Detections]:
        """Detections in images that a loader has resized, highest score first, on the CPU.

        Args:
            images: RGB, of the network's ``image_size``; in channels-last memory nothing is copied.
            sizes: (height, width) of the images that boxes refer to.

        Raises:
            ValueError: If there are not as many sizes as images, or, on CUDA, the images have
                another size than the network's input.
        """
        return self._run(images, sizes, self._threshold)()

    def _run(
        self,
        batch: UInt8[Tensor, "N 3 H W"],
        sizes: Sequence[tuple[int, int]],
        threshold: Threshold,
    ) -> Finish:
        """Begin to detect in a batch; a GPU works on it until it is waited for."""
        if isinstance(self.session, TorchSession):
            finish = self.session.start(batch, sizes, self.post_process, threshold)
        else:
            found = self.post_process(self.session(batch), sizes, threshold)
            finish = lambda: found  # noqa: E731
        return lambda: [replace(one, names=self._names) for one in finish()]

    def _detect(self, images: Sequence[ImageInput], threshold: Threshold) -> list[Detections]:
        return self._start(images, threshold)()

    def _start(self, images: Sequence[ImageInput], threshold: Threshold) -> Finish:
        """Begin to detect in some images, which are prepared when it returns."""
        is_cuda = isinstance(self.session, TorchSession) and self.session.device.type == "cuda"
        if is_cuda and len(images) > 1:  # It would wait for one core.
            with ThreadPoolExecutor(num_cores()) as pool:
                prepared = list(pool.map(self._prepare, images))
        else:
            prepared = [self._prepare(image) for image in images]
        pixels = [tile for tiles, _, _ in prepared for tile in tiles]
        sizes = [tile.size for _, tiles, _ in prepared for tile in tiles]
        finishes = []
        for start in range(0, len(sizes), MAX_BATCH):
            some = slice(start, start + MAX_BATCH)
            shape = len(sizes[some]), *self.image_size, 3
            batch = torch.empty(shape, dtype=torch.uint8, pin_memory=is_cuda)
            np.stack(pixels[some], out=batch.numpy())
            finishes.append(self._run(batch.permute(0, 3, 1, 2), sizes[some], threshold))

        def finish() -> list[Detections]:
            found = [one for part in finishes for one in part()]
            merged = merge_tiles(found, [tiles for _, tiles, _ in prepared], self.post_process)
            kept = [image for _, _, image in prepared]
            return [replace(one, image=image) for one, image in zip(merged, kept, strict=True)]

        return finish

    def _prepare(
        self, image: ImageInput
    ) -> tuple[list[UInt8[ndarray, "H W 3"]], list[Tile], ImageInput]:
        """The tiles of an image for the network, where they lie, and what to keep as the image."""
        _check_path(image)
        rgb = to_rgb(image)
        tiles = place_tiles((rgb.shape[0], rgb.shape[1]), self.image_size, self.tiles)
        # A server may send another image the next time.
        kept = rgb if isinstance(image, str) and is_url(image) else image
        return [resize(tile.of(rgb), self.image_size) for tile in tiles], tiles, kept

    def _threshold_of(self, score: Scores | None, classes: Names = None) -> Threshold:
        """Those of a score, or else the detector's own, without the classes that are not named."""
        threshold = self._threshold if score is None else self._thresholds(score)
        if classes is None:
            return threshold
        lowest = self.post_process.score_threshold if threshold is None else threshold
        return only_classes(lowest, classes, self._names)

    def _thresholds(self, score: Scores) -> Threshold:
        return score_thresholds(score, self._names, self.training.get("thresholds"))


def _one_ahead(started: Iterator[Finish]) -> Iterator[list[Detections]]:
    """What each gives, waited for when the next one has been started."""
    last: Finish = list
    for finish in started:
        yield last()
        last = finish
    yield last()


def _check_path(image: ImageInput) -> None:
    """Raise DataError where folders and films are given as one image."""
    if not isinstance(image, str | Path) or image == "" or is_url(str(image)):
        return
    with suppress(OSError):  # `to_rgb` reports a path that cannot be looked up.
        if Path(image).suffix.lower() in VIDEO_SUFFIXES or Path(image).is_dir():
            raise DataError(f"{image} is not one image; read it with detector.stream")
