"""Logged before the first step: how many boxes no prior reaches, and how long training takes."""

import copy
import logging
import time
from collections import Counter
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

import vision.boxes as box_ops
from vision.engine.forward import predict
from vision.engine.run import Run
from vision.formats import counted
from vision.progress import progress
from vision.structures import Target

logger = logging.getLogger(__name__)

CHUNK = 512
"""Number of boxes whose IoUs with all priors are computed at once."""
NUM_READ = 4
"""Maximum number of images that are read to measure the time."""


def log_coverage(run: Run) -> None:
    """Log, for each size of training images, how many boxes no prior reaches.

    Nothing is logged for task-aligned assignment, which depends on the predictions instead.
    """
    names = run.state.names
    for (height, width), criterion in sorted(run.losses.items()):
        if criterion.assignment != "ssd":
            continue
        targets, match_iou = run.train_set.targets, criterion.match_iou
        missed, total = unreached(targets, criterion.priors, names, match_iou)
        line = describe_coverage(missed, total, match_iou)
        logger.info("%s" if len(run.losses) == 1 else f"at {height} x {width} pixels, %s", line)


def unreached(
    targets: Sequence[Target],
    priors: Float[Tensor, "P 4"],
    names: Sequence[str],
    match_iou: float = 0.5,
) -> tuple[Counter[str], Counter[str]]:
    """Count, for each class, the boxes whose IoU with every prior is below ``match_iou``, and all.

    Ignored boxes are excluded. ``priors`` are relative to the image, in centre form.
    """
    corners = box_ops.to_corners(priors).cpu()
    boxes = relative_boxes(targets)
    labels = torch.cat([target.labels[~target.ignore] for target in targets])
    chunks = progress(torch.split(boxes, CHUNK), "priors")
    best = torch.cat([box_ops.iou(chunk, corners).amax(dim=1) for chunk in chunks])
    missed = labels[best < match_iou]
    return (
        Counter(names[label] for label in missed.tolist()),
        Counter(names[label] for label in labels.tolist()),
    )


def relative_boxes(targets: Sequence[Target]) -> Float[Tensor, "n 4"]:
    """Return all boxes that are not ignored, as fractions of their image's sides."""
    return torch.cat([box_ops.scale(t.boxes, t.size, (1, 1))[~t.ignore] for t in targets])


def describe_coverage(missed: Counter[str], total: Counter[str], match_iou: float) -> str:
    """Format the counts of `unreached` as a line of the log."""
    if not missed:
        return f"priors reach all {total.total()} training boxes at IoU {match_iou:g}"
    counts = f"{missed.total()} of {total.total()} training boxes"
    line = f"priors: no prior reaches {counts} at IoU {match_iou:g}"
    worst = ", ".join(f"{name} {count} of {total[name]}" for name, count in missed.most_common())
    return (
        f"{line} ({worst}); such boxes fit no prior (anchor box) and are learnt badly: a larger"
        " model.image_size helps, or model.priors=auto if training starts without weights"
    )


def log_duration(run: Run, evaluation_seconds: float | None) -> None:
    """Log how long the rest of the run will take, with evaluations if their duration is known."""
    settings, num_steps = run.settings, len(run.sampler)
    epochs = settings.epochs - run.state.epoch
    steps = epochs * num_steps - run.state.step
    each = _seconds_per_step(run)  # In all processes, since SyncBatchNorm needs all of them.
    evaluations = epochs // settings.eval_every + len(settings.interpolation) + 1
    logger.info(
        "training takes about %s%s: %s of %s of about %.2g s",
        describe_duration(steps * each + evaluations * (evaluation_seconds or 0.0)),
        ", without evaluations" if evaluation_seconds is None else "",
        counted(epochs, "epoch"),
        counted(num_steps, "step"),
        each,
    )


def _seconds_per_step(run: Run) -> float:
    """Estimate the seconds of a training step: reading, and passes through a copy of the network.

    On a CPU, data-loading processes compete with the network for cores; on other devices they read
    while the network runs.
    """
    count = run.sampler.batch_size // run.processes.size
    parts = run.settings.accumulate
    compute = _compute_seconds(run, max(2, count // parts)) * parts
    read = _read_seconds(run) * count / max(1, run.train_loader.num_workers)
    return compute + read if run.device.type == "cpu" else max(compute, read)


def _compute_seconds(run: Run, count: int) -> float:
    """Measure the seconds of forward and backward passes of ``count`` images, after a warm-up."""
    network = copy.deepcopy(run.state.model)
    shape = (count, 3, *network.image_size)
    images = torch.zeros(shape, dtype=torch.uint8, device=run.device)
    images = images.contiguous(memory_format=torch.channels_last)
    for _ in range(2):
        start = _now(run.device)
        predictions = predict(network, images, run.settings.autocast_dtype)
        torch.autograd.backward([part.float().square().mean() for part in predictions])
    return _now(run.device) - start


def _read_seconds(run: Run) -> float:
    """Measure the seconds of reading and augmenting an image, without worker processes."""
    count = min(NUM_READ, len(run.train_set))
    start = time.perf_counter()
    for index in range(count):
        run.train_set[index]
    return (time.perf_counter() - start) / count


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def describe_duration(seconds: float) -> str:
    """Format a duration: ``3 min 20 s``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
