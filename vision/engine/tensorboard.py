"""Write a run's losses, metrics and pictures for TensorBoard."""

import logging
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from vision.data import DetectionDataset
from vision.detections import Detections
from vision.draw import draw_detections
from vision.engine.pictures import SCORE, draw_legend, draw_target
from vision.model import match
from vision.progress import progress
from vision.structures import Target, pack_targets

logger = logging.getLogger(__name__)

NUM_ON_BOARD = 4
"""Number of validation pictures in TensorBoard."""
MAX_MATCHED = 2000
"""Maximum number of training images in the histogram of matches."""
CHUNK = 64
"""Number of images that are matched at once."""


class TensorBoardWriter:
    """Writes events, numbered by steps; after the first error, which is logged, it writes nothing.

    Args:
        folder: The folder of the events; None writes nothing.
        step: Number of finished steps; an interrupted run's events after it are hidden.
    """

    def __init__(self, folder: Path | None, step: int) -> None:
        self._writer: Any = None
        if folder is None:
            return
        # If TensorFlow is installed, TensorBoard imports it, which takes seconds and prints lines,
        # unless there is a module of this name.
        sys.modules.setdefault("tensorboard.compat.notf", ModuleType("notf"))
        from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415

        self._folder = folder
        self._hook, threading.excepthook = threading.excepthook, self._except
        with self._writing():
            self._writer = SummaryWriter(str(folder), purge_step=step + 1 if step else None)

    def scalars(self, values: Mapping[str, float | None], step: int) -> None:
        """Add a point to each curve whose value is not None."""
        for name, value in values.items():
            if self._writer is not None and value is not None:
                with self._writing():
                    self._writer.add_scalar(name, value, step)

    def matches(
        self, targets: Sequence[Target], priors: Float[Tensor, "P 4"], match_iou: float
    ) -> None:
        """Add a histogram of the number of matched priors of each object in the first images."""
        if self._writer is None:
            return
        counts, targets = [], targets[:MAX_MATCHED]
        for start in progress(range(0, len(targets), CHUNK), "matches"):
            packed = pack_targets(targets[start : start + CHUNK])
            objects = match(packed.to(priors.device), priors, match_iou).objects.cpu()
            per_object = torch.bincount(objects[objects >= 0], minlength=len(packed.rows))
            counts.append(per_object[packed.positive].float())
        if counts and sum(map(len, counts)):
            with self._writing():
                self._writer.add_histogram("matched priors of an object", torch.cat(counts), 0)

    def pictures(
        self,
        dataset: DetectionDataset,
        detections: Sequence[Detections],
        names: Sequence[str],
        step: int,
    ) -> None:
        """Add the first validation images, with ground truth, detections and a legend."""
        if self._writer is None:
            return
        for index, each in enumerate(detections[:NUM_ON_BOARD]):
            picture = draw_target(dataset.records[index].read(), dataset.targets[index], names)
            picture = draw_detections(picture, each[each.scores >= SCORE], names)
            with self._writing():
                self._writer.add_image(
                    f"val/{index}", draw_legend(picture), step, dataformats="HWC"
                )

    def flush(self) -> None:
        """Write the events so far to disk, so that a kill does not lose them."""
        with self._writing():
            if self._writer is not None:
                self._writer.flush()

    def close(self) -> None:
        """Write the last events and close the file."""
        with self._writing():
            if self._writer is not None:
                self._writer.close()
        self._end()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            logger.warning("warning: no more TensorBoard events in %s: %s", self._folder, error)
            self._end()

    def _end(self) -> None:
        if self._writer is not None:
            with suppress(OSError):
                self._writer.close()
        self._writer = None
        if threading.excepthook == self._except:
            threading.excepthook = self._hook

    def _except(self, hook_args: threading.ExceptHookArgs) -> None:
        """Ignore errors of TensorBoard's own thread, since its next call raises them again."""
        if not type(hook_args.thread).__module__.startswith("tensorboard."):
            self._hook(hook_args)
