"""TensorBoard's events, the log as curves, and validation images with detections.

A run can do without these: where one cannot be written, that is said and the run continues.
"""

import logging
import os
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from jaxtyping import Float
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from vision.atomic import replacing
from vision.data import DetectionDataset
from vision.detections import Detections
from vision.detector import Detector
from vision.draw import draw_detections
from vision.engine.ground_truth import draw_legend, draw_target
from vision.errors import VisionError
from vision.media import write_image
from vision.model import build_post_process, match
from vision.progress import progress
from vision.runtime import RuntimeOptions
from vision.structures import Target, pack_targets
from vision.weights import SavedDetector

logger = logging.getLogger(__name__)

PANELS = (
    {"loss": "loss", "classification": "classification", "localisation": "localisation"},
    {"lr": "learning rate"},
    {"voc.mAP50": "val voc.mAP50", "coco.AP": "val coco.AP"},
)
"""Columns of the log and their labels, from left to right."""
NUM_PICTURES = 8
"""Validation pictures that a finished run draws."""
NUM_ON_BOARD = 4
"""Validation pictures that TensorBoard shows."""
SCORE = 0.4
"""Score from which detections are drawn."""
MAX_MATCHED = 2000
"""Training images whose matches TensorBoard counts."""
CHUNK = 64
"""Images that are matched at once."""
MAX_STEM = 200
"""Bytes of an image's name in that of its picture: file systems take 255 in all."""


@contextmanager
def optional(path: Path) -> Iterator[None]:
    """Turn an error of writing a file or folder that a run can do without into a warning."""
    try:
        yield
    except (OSError, VisionError) as error:
        logger.warning("warning: %s is left out: %s", path, error)


class TensorBoardWriter:
    """Writes events, numbered by steps; after an error, which is logged, no more.

    Args:
        folder: The folder of the events; None writes nothing.
        step: Steps done; what an interrupted run wrote after them is hidden.
    """

    def __init__(self, folder: Path | None, step: int) -> None:
        self._writer: Any = None
        if folder is None:
            return
        # TensorBoard imports TensorFlow where it is installed, which takes seconds and prints
        # lines, unless there is a module of this name.
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
        """Add a histogram of the number of priors that each of the first training objects has."""
        if self._writer is None:
            return
        counts = []
        starts = range(0, min(len(targets), MAX_MATCHED), CHUNK)
        for start in progress(starts, "matches"):
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
        """Add the first validation images, with truth, detections and a legend."""
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
            logger.warning("warning: no more events in %s: %s", self._folder, error)
            self._end()

    def _end(self) -> None:
        if self._writer is not None:
            with suppress(OSError):
                self._writer.close()
        self._writer = None
        if threading.excepthook == self._except:
            threading.excepthook = self._hook

    def _except(self, hook_args: threading.ExceptHookArgs) -> None:
        """Leave the errors of TensorBoard's own thread to its next call, which raises them."""
        if not type(hook_args.thread).__module__.startswith("tensorboard."):
            self._hook(hook_args)


def draw_curves(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write losses, learning rate and metrics by epoch as a PNG.

    A column may be None or missing in any row; epoch 0, before the first step, has metrics alone.
    """
    figure = Figure(figsize=(12, 3.6))
    # A constrained layout would take half of the time, and draws all twice.
    figure.subplots_adjust(left=0.05, right=0.985, bottom=0.14, top=0.96, wspace=0.25)
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(PANELS), sharex=True)
    for axes, columns in zip(panels, PANELS, strict=True):
        for name, label in columns.items():
            known = [(row["epoch"], row[name]) for row in rows if row.get(name) is not None]
            if known:
                axes.plot(*zip(*known, strict=True), ".-", markersize=4, label=label)
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.grid(visible=True, alpha=0.3)
        if axes.lines:
            axes.legend()
    panels[-1].set_ylim(0, 1)
    with replacing(path) as partial:
        figure.savefig(partial, dpi=100)


def draw_pictures(
    saved: SavedDetector, dataset: DetectionDataset, device: torch.device, folder: Path
) -> None:
    """Write pictures from all over a data set, with detections, truth and a legend."""
    detector = Detector.from_model(
        saved.model,
        build_post_process(saved.config.model),
        saved.names,
        score=SCORE,
        options=RuntimeOptions(device=str(device)),
    )
    step = max(1, len(dataset) // NUM_PICTURES)
    for index in range(0, len(dataset), step)[:NUM_PICTURES]:
        image, target = dataset.records[index].read(), dataset.targets[index]
        picture = draw_target(image, target, saved.names)
        picture = draw_detections(picture, detector(image), saved.names)
        stem = Path(str(target.image_id)).stem.replace(" ", "_")
        stem = os.fsencode(stem)[:MAX_STEM].decode(errors="ignore")
        write_image(folder / f"{index:05d}_{stem}.jpg", draw_legend(picture))
