"""`Detector` loads weights and detects objects in images."""

# N images, H W height and width of the network's input, h w of an image, C classes

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
"""Maximum number of images, or tiles of images, in one forward pass of the network."""


class Detector:
    """A trained detector that is ready to use; several threads may call it at once.

    Use `Detector.load` to create one from weights. All arguments are also attributes.

    Args:
        session: Runs the network; ``session.options`` holds the backend, device and precision.
        post_process: Turns the network's decoded boxes and scores into detections.
        names: Class names in label order.
        training: How the weights were trained: epoch, metrics, versions.
        score: Score threshold, as for `Detector.load`; it can be changed.

    Attributes:
        tiles: As for `Detector.load`; 1 by default. It can be changed.

    Raises:
        ConfigError: If a score is out of range, or names a class that is not in ``names``.
        WeightsError: If ``score`` is ``best`` and ``training`` has no best thresholds.
        TypeError: If it is called with a path to weights.
    """

    # Slots forbid other attributes, which could be set but would have no effect.
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
        """Raise TypeError for a path to weights, which `load` takes."""
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
        """Score threshold, as for `Detector.load`; it can be changed."""
        return self._score

    @score.setter
    def score(self, score: Scores | None) -> None:
        """Set it; raise ConfigError if it is out of range or names an unknown class."""
        self._threshold: Threshold = None if score is None else self._thresholds(score)
        self._score = score

    @classmethod
    def load(  # noqa: PLR0913 - keyword-only, except three
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
        """Load a detector from a weights file or an exported graph, and run it once to warm up.

        Args:
            weights: A file from training or ``ssdlite export`` (.safetensors, .onnx, .xml, ...), a
                run folder, a file on the Hugging Face Hub (``hf://user/name``), or a detector in
                the package: ``coco`` (80 classes) or ``voc`` (20 classes).
            score: Score threshold in [0, 1]; only detections above it are returned. A mapping sets
                it by class name and excludes other classes, unless ``""`` sets a threshold for
                them. ``best`` uses each class's threshold with the highest F1 on the validation
                data, and 0.4 for classes without one. None: ``model.postprocess.score_threshold``,
                which is low, for average precision.
            device: ``cpu``, ``cuda``, ...; None: in PyTorch, CUDA if available; else the CPU.
            backend: ``torch``, ``onnx``, ``openvino``, ...; all except ``torch`` first export a
                weights file, which takes some seconds. None: what the file was written for.
            precision: ``fp32``, ``bf16``, ``fp16`` (GPUs) or ``int8`` (exported files). None: the
                default of an exported file, and ``fp32`` for a weights file.
            threads: Threads of a call, or, in PyTorch, of the process; None: the backend's default.
            streams: Number of calls, from several threads, that run in parallel in OpenVINO.
            tiles: To find small objects, also detect in this many overlapping tiles along each side
                (at most 16), and merge the results; ``auto`` uses at most 16 tiles of about the
                network's input size. Time grows with their number. `detect_batch` uses no tiles.
            postprocess: Keys of ``model.postprocess`` to change: ``{"suppression": "soft_nms"}``.

        Raises:
            WeightsError: If the file is missing, damaged, or not written by ssdlite, or if
                ``score`` is ``best`` and the file has no best thresholds.
            ConfigError: If an option is invalid, or this machine cannot meet it.
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
        """Create a detector from a copy of a network in memory.

        Args:
            model: The network, on any device.
            post_process: As for `Detector`; `vision.model.build_post_process` makes it.
            names: Class names in label order.
            score: Score threshold, as for `Detector.load`.
            options: Backend, device and precision to run it with.

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
    def __call__(  # type: ignore[overload-overlap]  # a str is a Sequence[str]
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
        """Detect objects; boxes are in each image's own pixels, on the CPU, highest score first.

        Args:
            images: One image in any form that `vision.image_inputs.to_rgb` takes: a path, an http
                URL, the bytes of a file, a PIL image, an array (h, w), (h, w, 3) or (h, w, 4), or a
                tensor (3, h, w). Or several: a list of these, an array (N, h, w, 3), a tensor
                (N, 3, h, w), or an iterator over images.
            score: Score threshold for this call, in place of the detector's own.
            classes: Class names; detections of other classes are left out.

        Returns:
            `Detections` for one image, a list of them for several, and for an iterator (such as a
            generator) an iterator that reads one image at a time.

        Raises:
            DataError: If an image has another form, or cannot be read.
            ConfigError: If a score is out of range, or a class is unknown.
        """
        threshold = self._threshold_of(score, classes)
        if isinstance(images, Iterator) and are_many(images):
            return (self._detect([image], threshold)[0] for image in images)
        if not are_many(images):
            return self._detect([images], threshold)[0]
        remaining, length = iter(images), MAX_BATCH if self.tiles == 1 else 1
        batches = iter(lambda: list(islice(remaining, length)), [])
        started = (self._start(batch, threshold) for batch in batches)
        return [detections for batch in _one_ahead(started) for detections in batch]

    def stream(
        self,
        source: str | Path | int | Sequence[str | Path | int],
        *,
        stride: int = 1,
        score: Scores | None = None,
        classes: Names = None,
    ) -> Iterator[tuple[UInt8[ndarray, "h w 3"], Detections]]:
        """Read frames one at a time, and yield each, in RGB, with its detections.

        Args:
            source: What ``ssdlite detect`` takes: an image, a film, a folder, a glob pattern, a
                .txt list, the URL of a stream, the number of a camera; or a list of these.
            stride: Read only every ``stride``-th frame of films and streams.
            score: Score threshold in place of the detector's own.
            classes: Class names; detections of other classes are left out.

        Yields:
            Frames in order. An image or film that cannot be read is logged and skipped; if it is
            the only one, DataError is raised.

        Raises:
            DataError: If a source does not exist.
            ConfigError: As for a call.
        """
        threshold = self._threshold_of(score, classes)
        frames = read_frames(source, stride)
        return ((frame, self._detect([frame], threshold)[0]) for frame in frames)

    def detect_batch(
        self,
        images: UInt8[Tensor, "N 3 H W"],
        sizes: Sequence[tuple[int, int]],
    ) -> list[Detections]:
        """Detect objects in images that a loader has already resized; otherwise like a call.

        Args:
            images: RGB, of the detector's ``image_size``; channels-last tensors are not copied.
            sizes: (height, width) of the original images, to which the boxes refer.

        Raises:
            ValueError: If the numbers of sizes and images differ, or, on CUDA, the images do not
                have the size of the network's input.
        """
        return self._run(images, sizes, self._threshold)()

    def _run(
        self,
        batch: UInt8[Tensor, "N 3 H W"],
        sizes: Sequence[tuple[int, int]],
        threshold: Threshold,
    ) -> Finish:
        """Start detection in a batch; a GPU works on it until the result is asked for."""
        if isinstance(self.session, TorchSession):
            finish = self.session.start(batch, sizes, self.post_process, threshold)
        else:
            found = self.post_process(self.session(batch), sizes, threshold)
            finish = lambda: found  # noqa: E731
        return lambda: [replace(one, names=self._names) for one in finish()]

    def _detect(self, images: Sequence[ImageInput], threshold: Threshold) -> list[Detections]:
        return self._start(images, threshold)()

    def _start(self, images: Sequence[ImageInput], threshold: Threshold) -> Finish:
        """Start detection in several images; they have been prepared when it returns."""
        is_cuda = isinstance(self.session, TorchSession) and self.session.device.type == "cuda"
        if is_cuda and len(images) > 1:  # With one core, the GPU would wait.
            with ThreadPoolExecutor(num_cores()) as pool:
                prepared = list(pool.map(self._prepare, images))
        else:
            prepared = [self._prepare(image) for image in images]
        pixels = [tile for tiles, _, _ in prepared for tile in tiles]
        sizes = [tile.size for _, tiles, _ in prepared for tile in tiles]
        finishes = []
        for start in range(0, len(sizes), MAX_BATCH):
            chunk = slice(start, start + MAX_BATCH)
            shape = len(sizes[chunk]), *self.image_size, 3
            batch = torch.empty(shape, dtype=torch.uint8, pin_memory=is_cuda)
            np.stack(pixels[chunk], out=batch.numpy())
            finishes.append(self._run(batch.permute(0, 3, 1, 2), sizes[chunk], threshold))

        def finish() -> list[Detections]:
            found = [detections for wait in finishes for detections in wait()]
            merged = merge_tiles(found, [tiles for _, tiles, _ in prepared], self.post_process)
            kept = [image for _, _, image in prepared]
            return [replace(one, image=image) for one, image in zip(merged, kept, strict=True)]

        return finish

    def _prepare(
        self, image: ImageInput
    ) -> tuple[list[UInt8[ndarray, "H W 3"]], list[Tile], ImageInput]:
        """Return an image's tiles, resized for the network, their places, and the image to keep."""
        _check_path(image)
        rgb = to_rgb(image)
        tiles = place_tiles((rgb.shape[0], rgb.shape[1]), self.image_size, self.tiles)
        # For a URL, keep the pixels: the server may send another image the next time.
        kept = rgb if isinstance(image, str) and is_url(image) else image
        return [resize(tile.of(rgb), self.image_size) for tile in tiles], tiles, kept

    def _threshold_of(self, score: Scores | None, classes: Names = None) -> Threshold:
        """The thresholds of ``score``, else the detector's own; excludes all but ``classes``."""
        threshold = self._threshold if score is None else self._thresholds(score)
        if classes is None:
            return threshold
        lowest = self.post_process.score_threshold if threshold is None else threshold
        return only_classes(lowest, classes, self._names)

    def _thresholds(self, score: Scores) -> Threshold:
        return score_thresholds(score, self._names, self.training.get("thresholds"))


def _one_ahead(started: Iterator[Finish]) -> Iterator[list[Detections]]:
    """Yield each result after the next one has been started."""
    last: Finish = list
    for finish in started:
        yield last()
        last = finish
    yield last()


def _check_path(image: ImageInput) -> None:
    """Raise DataError for a folder or a film that is passed as one image."""
    if not isinstance(image, str | Path) or image == "" or is_url(str(image)):
        return
    with suppress(OSError):  # `to_rgb` reports a path that cannot be looked up.
        if Path(image).suffix.lower() in VIDEO_SUFFIXES or Path(image).is_dir():
            raise DataError(f"{image} is not one image; read it with detector.stream")
