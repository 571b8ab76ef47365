"""Comparison of an exported graph's detections with those of the network in PyTorch."""

# N: images; H W: height and width of the network's input

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import UInt8
from numpy import ndarray
from torch import Tensor

import vision.boxes as box_ops
from vision.choices import Form
from vision.detections import Detections
from vision.errors import WeightsError
from vision.model import PostProcess, SSDLite, decode_predictions
from vision.progress import progress
from vision.runtime import Runner
from vision.runtime.graphs import graph_input
from vision.runtime.torch_backend import TorchSession
from vision.structures import Decoded, Predictions

MIN_SCORE = 0.1
"""Detections with a lower score are not compared."""
MAX_SCORE_ERROR = 1e-3
MAX_HALF_SCORE_ERROR = 5e-3
"""The same for fp16: OpenVINO multiplies the scale of the pixels into the first convolution, which
rounds its weights a second time."""
MAX_BOX_ERROR = 0.5
"""Largest allowed difference of a box coordinate, in pixels of the network's input."""
SUPPRESSED: tuple[Form, ...] = ("nms", "ssd", "frigate")
"""Forms of graphs that include the suppression of overlapping boxes."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How the detections of a graph differ from the reference, PyTorch's in the same images.

    Attributes:
        num_images: Number of images compared.
        num_detections: Number of the reference's detections with a score of at least ``min_score``.
        score_error: Largest difference between the scores of two matched detections.
        box_error: Largest difference of a box coordinate, in pixels of the network's input. If
            scores tie within the tolerance, either box may suppress the other, and both are right.
        num_unmatched: Detections of either one that the other lacks; not counted if their score is
            at most the tolerance above ``min_score``.
        min_score: Detections with a lower score are not compared.
    """

    num_images: int
    num_detections: int
    score_error: float
    box_error: float
    num_unmatched: int
    min_score: float = MIN_SCORE

    def __str__(self) -> str:
        return (
            f"{self.num_images} images, {self.num_detections} detections with a score of at least"
            f" {self.min_score}: scores differ by at most {self.score_error:.1e}, boxes by at most"
            f" {self.box_error:.1e} pixels, {self.num_unmatched} detections have no counterpart"
        )


def require(agreement: Agreement, where: str, tolerance: float = MAX_SCORE_ERROR) -> None:
    """Raise an error unless a graph agrees with PyTorch, its scores to within ``tolerance``.

    Raises:
        WeightsError: If it does not agree, or if there was no detection to compare.
    """
    if not agreement.num_detections:
        raise WeightsError(
            f"{where} cannot be checked: nothing is found in {agreement.num_images} images with a"
            f" score of {agreement.min_score} or more; pass images of objects that the detector was"
            " trained for, or train it for longer"
        )
    if (
        agreement.num_unmatched
        or agreement.score_error > tolerance
        or agreement.box_error > MAX_BOX_ERROR
    ):
        raise WeightsError(f"{where} does not give the same detections as PyTorch: {agreement}")


def compare(
    runner: Runner,
    form: Form,
    network: SSDLite,
    post_process: PostProcess,
    images: Sequence[UInt8[ndarray, "H W 3"]],
    tolerance: float = MAX_SCORE_ERROR,
) -> Agreement:
    """Compare a graph's detections with those of the network in PyTorch.

    Args:
        runner: Runs the graph.
        form: The graph's form.
        network: The network that was exported, from `vision.model.fuse`, in float32.
        post_process: Settings for both. A graph that includes suppression has its own score
            threshold; for the others, the threshold is lowered below `MIN_SCORE`.
        images: Images of the network's input size.
        tolerance: Detections whose scores differ by at most this may change places.
    """
    min_score = max(MIN_SCORE, post_process.score_threshold) if form in SUPPRESSED else MIN_SCORE
    threshold = min(MIN_SCORE / 2, post_process.score_threshold)
    post_process = replace(post_process, score_threshold=threshold)
    if form == "ssd":  # TensorFlow Lite's operator suppresses across classes, without clipping.
        post_process = replace(
            post_process,
            suppression="nms",
            class_agnostic=True,
            clip_before_nms=False,
            max_candidates=10**6,
            max_per_class=None,
        )
    # Without suppression, to have every box that a tie could have let through.
    unsuppressed = replace(post_process, suppression="nms", nms_iou=1.0, max_detections=10**6)
    session = TorchSession(network)
    total = Agreement(0, 0, 0.0, 0.0, 0, min_score)
    for image in progress(images, "compare", unit=" images"):
        pixels = image[None]
        decoded = session(torch.from_numpy(pixels).permute(0, 3, 1, 2))
        (expected,) = post_process(decoded, [network.image_size])
        (candidates,) = unsuppressed(decoded, [network.image_size])
        (actual,) = detections_of(runner, form, network, post_process, pixels)
        total = _with_image(total, actual, expected, candidates, tolerance)
    return total


def detections_of(
    runner: Runner,
    form: Form,
    network: SSDLite,
    post_process: PostProcess,
    pixels: UInt8[ndarray, "N H W 3"],
) -> list[Detections]:
    """Detect in images with a graph of any form; boxes are in pixels of its input."""
    size = (pixels.shape[1], pixels.shape[2])
    outputs = map(torch.from_numpy, runner(graph_input(form, pixels)))
    if form in SUPPRESSED:
        return [one.scale_to(size) for one in _suppressed(form, list(outputs))]
    if form == "jetson":
        scores, boxes = outputs
        decoded = Decoded(boxes, scores[..., 1:])
    elif form == "raw":
        decoded = decode_predictions(Predictions(*outputs), network.priors, network.scores)
    else:
        decoded = Decoded(*outputs)
    return post_process(decoded, [size] * len(pixels))


def _suppressed(form: Form, outputs: list[Tensor]) -> list[Detections]:
    """Detections, in fractions of the image's sides, from a graph that includes suppression."""
    if form == "frigate":
        (rows,) = outputs
        rows = rows[0, 0][rows[0, 0, :, 2] > 0]  # image, label, score, xyxy
        return [Detections(rows[:, 3:], rows[:, 2], rows[:, 1].long(), (1, 1))]
    if form == "ssd":
        corners, labels, scores, counts = outputs
        boxes = corners[..., [1, 0, 3, 2]].clamp(0, 1)
    else:
        counts, boxes, scores, labels = outputs
    return [
        Detections(boxes[row, :count], scores[row, :count], labels[row, :count].long(), (1, 1))
        for row, count in enumerate(counts.int().tolist())
    ]


def _with_image(
    total: Agreement,
    actual: Detections,
    expected: Detections,
    candidates: Detections,
    tolerance: float,
) -> Agreement:
    """Add an image to the total; each detection is matched with the nearest of the same label."""
    compared = expected[expected.scores >= total.min_score]
    surely = total.min_score + tolerance
    score_error, box_error, unmatched = total.score_error, total.box_error, total.num_unmatched
    free = torch.ones(len(actual), dtype=torch.bool)
    for box, score, label in zip(compared.boxes, compared.scores, compared.labels, strict=True):
        ious = box_ops.iou(box[None], actual.boxes)[0] * (free & (actual.labels == label))
        if not len(ious) or ious.max() < 0.5:
            unmatched += int(score > surely)
            continue
        best = int(ious.argmax())
        free[best] = False
        score_error = max(score_error, float((actual.scores[best] - score).abs()))
        ties = (candidates.labels == label) & ((candidates.scores - score).abs() <= tolerance)
        same = torch.cat([box[None], candidates.boxes[ties]])
        box_error = max(box_error, float((same - actual.boxes[best]).abs().amax(dim=1).min()))
    return Agreement(
        total.num_images + 1,
        total.num_detections + len(compared),
        score_error,
        box_error,
        unmatched + int((free & (actual.scores > surely)).sum()),
        total.min_score,
    )
