"""Detection in batches of a few fixed sizes, each recorded once, including post-processing."""

# N images, H W height and width of the network's input, C classes

import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from threading import Lock
from typing import TypeAlias

import torch
from jaxtyping import Float32, UInt8
from torch import Tensor

from vision.detections import Detections
from vision.errors import first_line
from vision.model import PostProcess
from vision.model.fixed_shapes import detect_in_fixed_shapes
from vision.structures import Decoded

logger = logging.getLogger(__name__)

SIZES = (1, 2, 4, 8, 16, 32, 64)
"""Sizes of recorded batches: other batches run in the next larger size, or are split."""
NARROW = 256
"""Candidates of an image in the first recording; ``max_candidates`` once an image has more."""
MAX_RECORDED = 2 * len(SIZES)
"""Maximum number of recorded batches; the least recently used ones are dropped."""

Run: TypeAlias = Callable[[Tensor], Decoded]
Recorded: TypeAlias = Callable[[Tensor, Tensor], Callable[[], Tensor]]
"""Starts a recorded function; the function that it returns waits for the result."""
Record: TypeAlias = Callable[..., Recorded]
Finish: TypeAlias = Callable[[], list[Detections]]
"""Waits for detections, and returns them on the CPU."""
Threshold: TypeAlias = float | Float32[Tensor, "C"] | None


class FixedBatches:
    """Starts detection in batches, to wait for the results later; several threads may use it.

    If a recording cannot return all the detections of `PostProcess`, the batch runs again without.

    Args:
        run: The network with decoding.
        image_size: (height, width) of its images.
        num_classes: Number of classes.
        record: `vision.runtime.cuda_graph.CudaRecorder.record`. If it or a function that it
            returns raises RuntimeError, ``run`` is used from then on, with a warning.
    """

    def __init__(
        self,
        run: Run,
        image_size: tuple[int, int],
        num_classes: int,
        record: Record,
    ) -> None:
        self._run, self._record = run, record
        self._image_size, self._num_classes = image_size, num_classes
        self._recorded: OrderedDict[tuple[PostProcess, int, int | None], Recorded] = OrderedDict()
        self._crowded, self._is_off = -1.0, False
        self._lock = Lock()

    def start(
        self,
        images: UInt8[Tensor, "N 3 H W"],
        sizes: Sequence[tuple[int, int]],
        post_process: PostProcess,
        threshold: Threshold = None,
    ) -> Finish:
        """Start detection; the arguments are those of a `Session` and of `PostProcess`.

        Raises:
            ValueError: If the numbers of sizes and images differ, or the images do not have the
                size of the network's input.
        """
        if len(sizes) != len(images):
            raise ValueError(f"expected {len(images)} sizes, got {len(sizes)}")
        if images.shape[1:] != (3, *self._image_size):
            raise ValueError(
                f"expected images of shape {(3, *self._image_size)}, got {tuple(images.shape[1:])}"
            )
        if not len(sizes):
            return list
        if threshold is None:
            threshold = post_process.score_threshold
        limits = torch.as_tensor(threshold, dtype=torch.float32).expand(self._num_classes)
        started = []
        for begin in range(0, len(sizes), SIZES[-1]):
            chunk = slice(begin, begin + SIZES[-1])
            started.append(self._start(images[chunk], sizes[chunk], post_process, limits))
        return lambda: [detections for finish in started for detections in finish()]

    def _start(
        self,
        images: UInt8[Tensor, "N 3 H W"],
        sizes: Sequence[tuple[int, int]],
        post_process: PostProcess,
        limits: Float32[Tensor, "C"],
    ) -> Finish:
        corners = torch.tensor([size[::-1] for size in sizes], dtype=torch.float32)
        settings = torch.cat([corners, limits.expand(len(sizes), -1)], dim=1)
        lowest = float(limits.min())
        again = partial(self._detect, images, sizes, post_process, limits)
        with self._lock:
            width = None if lowest <= self._crowded else NARROW
            recorded = self._find(post_process, len(sizes), width)
            if recorded is None:
                return again
            try:
                finish = recorded(images, settings)
            except RuntimeError as error:
                self._turn_off(error)
                return again

        def wait() -> list[Detections]:
            rows = finish()
            if bool(rows[:, -1].all()):
                return _split(rows[:, :-1].reshape(len(rows), -1, 6), sizes)
            self._crowded = max(self._crowded, lowest)
            return again()

        return wait

    def _find(
        self, post_process: PostProcess, num_images: int, width: int | None
    ) -> Recorded | None:
        """Return the recorded function, after recording it if necessary; None if that fails."""
        size = next(size for size in SIZES if size >= num_images)
        key = (post_process, size, width)
        if key not in self._recorded and not self._is_off:
            images = torch.zeros(size, 3, *self._image_size, dtype=torch.uint8)
            images = images.to(memory_format=torch.channels_last)
            settings = torch.zeros(size, 2 + self._num_classes)
            function = partial(_rows, self._run, post_process, width)
            try:
                self._recorded[key] = self._record(function, images, settings)
            except RuntimeError as error:  # from CUDA: no memory, or an unsuitable driver
                self._turn_off(error)
            if len(self._recorded) > MAX_RECORDED:
                self._recorded.popitem(last=False)
        if key in self._recorded:
            self._recorded.move_to_end(key)
        return self._recorded.get(key)

    def _turn_off(self, error: RuntimeError) -> None:
        self._is_off = True
        self._recorded.clear()
        logger.warning("detection continues without CUDA graphs: %s", first_line(error))

    def _detect(
        self,
        images: UInt8[Tensor, "N 3 H W"],
        sizes: Sequence[tuple[int, int]],
        post_process: PostProcess,
        limits: Float32[Tensor, "C"],
    ) -> list[Detections]:
        """Detect without a recording."""
        return [one.to("cpu") for one in post_process(self._run(images), sizes, limits)]


def _rows(
    run: Run, post_process: PostProcess, width: int | None, images: Tensor, settings: Tensor
) -> Float32[Tensor, "N _"]:
    """Return each image's detections for `_split`, and, last, whether they are complete."""
    found = detect_in_fixed_shapes(
        post_process, run(images), settings[:, :2], settings[:, 2:], width
    )
    return torch.cat([found.rows.flatten(1), found.is_complete[:, None]], dim=1)


def _split(rows: Float32[Tensor, "N D 6"], sizes: Sequence[tuple[int, int]]) -> list[Detections]:
    found = []
    for each, size in zip(rows, sizes, strict=True):
        filled = each[each[:, 4] > 0]
        columns = filled[:, :4].contiguous(), filled[:, 4].contiguous(), filled[:, 5].long()
        found.append(Detections(*columns, size))
    return found
