"""Whether an exported graph answers as PyTorch does."""

# N images, H W height and width of the network's input

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import UInt8
from numpy import ndarray

import vision.boxes as box_ops
from vision.errors import WeightsError
from vision.model import Decode, DecodingNetwork, PostProcess
from vision.runtime import Form, Runner
from vision.runtime.graphs import graph_input
from vision.runtime.torch_backend import TorchSession
from vision.structures import Decoded, Detections, Predictions

__all__ = [
    "MAX_HALF_SCORE_ERROR",
    "MAX_SCORE_ERROR",
    "MIN_SCORE",
    "Agreement",
    "compare",
    "detections_of",
    "require",
]

MIN_SCORE = 0.1
"""Detections below are not compared."""
MAX_SCORE_ERROR = 1e-3
MAX_HALF_SCORE_ERROR = 5e-3
"""For fp16: OpenVINO multiplies the pixels' scale into the first convolution, which rounds its
weights a second time."""
MAX_BOX_ERROR = 0.5
"""In pixels of the network's input."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How two runs of the same images differ.

    Attributes:
        num_images: Images compared.
        num_detections: Detections of the reference with a score of `MIN_SCORE` or more.
        score_error: Largest difference of a detection's scores.
        box_error: Largest difference of a coordinate, in pixels of the network's input. Where
            scores tie within the tolerance, either box may be the one that suppresses the other.
        num_unmatched: Detections of one run that the other lacks; where a score lies within the
            tolerance of the threshold, either may lack it.
    """

    num_images: int
    num_detections: int
    score_error: float
    box_error: float
    num_unmatched: int

    def __str__(self) -> str:
        return (
            f"{self.num_images} images, {self.num_detections} detections from score"
            f" {MIN_SCORE} on: scores differ by {self.score_error:.1e} at most, boxes by"
            f" {self.box_error:.1e} pixels, {self.num_unmatched} detections have no counterpart"
        )


def require(agreement: Agreement, where: str, tolerance: float = MAX_SCORE_ERROR) -> None:
    """Raise WeightsError unless two runs agree, scores to within ``tolerance``.

    Raises:
        WeightsError: If they do not, or if there was nothing to compare.
    """
    if not agreement.num_detections:
        raise WeightsError(
            f"{where} cannot be checked: nothing is found in {agreement.num_images} images with a"
            f" score of {MIN_SCORE} or more; pass images that show what it was trained for"
        )
    if (
        agreement.num_unmatched
        or agreement.score_error > tolerance
        or agreement.box_error > MAX_BOX_ERROR
    ):
        raise WeightsError(f"{where} does not answer as PyTorch does: {agreement}")


def compare(
    runner: Runner,
    form: Form,
    network: DecodingNetwork,
    post_process: PostProcess,
    images: Sequence[UInt8[ndarray, "H W 3"]],
    tolerance: float = MAX_SCORE_ERROR,
) -> Agreement:
    """How a graph's detections differ from those of the network in PyTorch.

    Args:
        runner: Runs the graph.
        form: Of the graph.
        network: What it was made of, in float32.
        post_process: Of both; its threshold is lowered below `MIN_SCORE` for the comparison.
        images: Of the network's size.
        tolerance: Detections whose scores differ by no more may change places.
    """
    threshold = min(MIN_SCORE / 2, post_process.score_threshold)
    post_process = replace(post_process, score_threshold=threshold)
    # Without suppression: every box that a tie could have let through.
    unsuppressed = replace(post_process, suppression="nms", nms_iou=1.0, max_detections=10**6)
    session = TorchSession(network)
    size = network.image_size
    agreements = []
    for image in images:
        pixels = image[None]
        batch = torch.from_numpy(pixels).permute(0, 3, 1, 2)
        decoded = session(batch)
        (expected,) = post_process(decoded, [size])
        (candidates,) = unsuppressed(decoded, [size])
        (actual,) = detections_of(runner, form, network.decode, post_process, pixels)
        agreements.append(_compare(actual, expected, candidates, tolerance))
    return Agreement(
        len(images),
        sum(one.num_detections for one in agreements),
        max((one.score_error for one in agreements), default=0.0),
        max((one.box_error for one in agreements), default=0.0),
        sum(one.num_unmatched for one in agreements),
    )


def detections_of(
    runner: Runner,
    form: Form,
    decode: Decode,
    post_process: PostProcess,
    pixels: UInt8[ndarray, "N H W 3"],
) -> list[Detections]:
    """Detections of images by a graph of any form, in the pixels of its input."""
    size = (pixels.shape[1], pixels.shape[2])
    sizes = [size] * len(pixels)
    outputs = map(torch.from_numpy, runner(graph_input(form, pixels)))
    if form == "nms":
        counts, boxes, scores, labels = outputs
        return [
            Detections(
                boxes[row, :count], scores[row, :count], labels[row, :count], (1, 1)
            ).scale_to(size)
            for row, count in enumerate(counts.tolist())
        ]
    if form == "jetson":
        scores, boxes = outputs
        return post_process(Decoded(boxes, scores[..., 1:]), sizes)
    decoded = decode(Predictions(*outputs)) if form == "raw" else Decoded(*outputs)
    return post_process(decoded, sizes)


def _compare(
    actual: Detections, expected: Detections, candidates: Detections, tolerance: float
) -> Agreement:
    """The agreement of one image; each detection is compared with the nearest of its label."""
    compared = expected[expected.scores >= MIN_SCORE]
    score_error, box_error, unmatched = 0.0, 0.0, 0
    free = torch.ones(len(actual), dtype=torch.bool)
    for box, score, label in zip(compared.boxes, compared.scores, compared.labels, strict=True):
        ious = box_ops.iou(box[None], actual.boxes)[0] * (free & (actual.labels == label))
        if not len(ious) or ious.max() < 0.5:
            unmatched += int(score > MIN_SCORE + tolerance)
            continue
        best = int(ious.argmax())
        free[best] = False
        score_error = max(score_error, float((actual.scores[best] - score).abs()))
        ties = (candidates.labels == label) & ((candidates.scores - score).abs() <= tolerance)
        same = torch.cat([box[None], candidates.boxes[ties]])
        box_error = max(box_error, float((same - actual.boxes[best]).abs().amax(dim=1).min()))
    unmatched += int((free & (actual.scores > MIN_SCORE + tolerance)).sum())
    return Agreement(1, len(compared), score_error, box_error, unmatched)
