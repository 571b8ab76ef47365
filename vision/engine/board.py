"""What TensorBoard shows of a run."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType

import torch
from jaxtyping import Float
from torch import Tensor

from vision.data import DetectionDataset
from vision.draw import draw_detections, draw_legend, draw_target
from vision.model import match, pad_targets
from vision.structures import Detections, Target

__all__ = ["Board"]

NUM_PICTURES = 4
SCORE = 0.4
MOST_MATCHED = 2000
CHUNK = 64


class Board:
    """Writes events, numbered by steps.

    Args:
        folder: Where to; None writes nothing.
        step: Steps done; what an interrupted run wrote after them is hidden.
    """

    def __init__(self, folder: Path | None, step: int) -> None:
        self._writer = None
        if folder is not None:
            # TensorBoard imports TensorFlow where it is installed, which takes seconds and prints
            # lines, unless there is a module of this name.
            sys.modules.setdefault("tensorboard.compat.notf", ModuleType("notf"))
            from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415

            self._writer = SummaryWriter(str(folder), purge_step=step + 1 if step else None)

    def scalars(self, values: Mapping[str, float | None], step: int) -> None:
        """Points of curves; None makes none."""
        if self._writer is None:
            return
        for name, value in values.items():
            if value is not None:
                self._writer.add_scalar(name, value, step)

    def matches(
        self, targets: Sequence[Target], priors: Float[Tensor, "P 4"], match_iou: float, step: int
    ) -> None:
        """How many priors each of the first training objects has."""
        if self._writer is None:
            return
        counts = []
        for start in range(0, min(len(targets), MOST_MATCHED), CHUNK):
            padded = pad_targets(targets[start : start + CHUNK], priors.device)
            objects = match(padded, priors, match_iou).objects
            per_object = torch.zeros(*padded.positive.shape, device=priors.device)
            ones = (objects >= 0).float()
            per_object.scatter_add_(1, objects.clamp(min=0), ones)
            counts.append(per_object[padded.positive].cpu())
        if counts and sum(map(len, counts)):
            self._writer.add_histogram("matched priors of an object", torch.cat(counts), step)

    def pictures(
        self,
        dataset: DetectionDataset,
        found: Sequence[Detections],
        names: Sequence[str],
        step: int,
    ) -> None:
        """The first validation images, with truth, detections and a legend."""
        if self._writer is None:
            return
        for index, detections in enumerate(found[:NUM_PICTURES]):
            picture = draw_target(dataset.records[index].read(), dataset.targets[index], names)
            picture = draw_detections(picture, detections[detections.scores >= SCORE], names)
            self._writer.add_image(f"val/{index}", draw_legend(picture), step, dataformats="HWC")

    def flush(self) -> None:
        """Write what was told so far, so that a kill does not lose it."""
        if self._writer is not None:
            self._writer.flush()

    def close(self) -> None:
        """Write what is left."""
        if self._writer is not None:
            self._writer.close()
