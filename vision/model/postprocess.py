"""From predictions to detections: decoding, thresholding, selection and suppression."""

# N batch, P priors, C classes, V = C + 1 with background, K selected pairs of an image, M kept
# boxes of all images, D detections of an image

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Float32, Int64
from torch import Tensor

import vision.boxes as box_ops
from vision.detections import Detections
from vision.model.layers import Scores
from vision.structures import Decoded, Predictions

Suppression = Literal["nms", "soft_nms"]


def decode_predictions(
    predictions: Predictions, priors: Float[Tensor, "P 4"], scores: Scores = "softmax"
) -> Decoded:
    """Compute boxes from offsets and scores from logits, in float32.

    Args:
        predictions: The output of a network with these priors.
        priors: Relative to the image, in centre form.
        scores: ``softmax`` over classes and background, or ``sigmoid`` of each class.
    """
    boxes = box_ops.to_corners(box_ops.decode(predictions.offsets.float(), priors))
    return Decoded(boxes, class_scores(predictions.logits.float(), scores))


def class_scores(logits: Float[Tensor, "N P V"], scores: Scores) -> Float[Tensor, "N P V-1"]:
    """Compute the scores of the classes, without background, as in `decode_predictions`."""
    by_class = logits.sigmoid() if scores == "sigmoid" else logits.softmax(dim=-1)
    return by_class[..., :-1]


class PreNmsBoxes(NamedTuple):
    """The candidates for suppression: the best (prior, class) pairs of each image.

    Attributes:
        boxes: As in `Decoded`.
        scores: In descending order; rows with score 0 are padding.
        labels: Class indices from 0.
    """

    boxes: Float32[Tensor, "N K 4"]
    scores: Float32[Tensor, "N K"]
    labels: Int64[Tensor, "N K"]


@dataclass(frozen=True, kw_only=True, slots=True)
class PostProcess:
    """Thresholding, selection of candidates and suppression, for all images and classes at once.

    Attributes:
        score_threshold: Detections must score above this.
        nms_iou: A box is suppressed if its IoU with a better box of its class is above this.
        max_candidates: Maximum number of candidates, (prior, class) pairs, of an image.
        max_detections: Maximum number of detections of an image.
        max_per_class: Maximum number of candidates of one class; None for no limit.
        suppression: ``nms`` drops overlapping boxes, ``soft_nms`` lowers their scores
            (`vision.boxes.soft_nms`, which does not use ``nms_iou``).
        class_agnostic: Whether boxes of different classes suppress each other too.
        soft_nms_sigma: The smaller, the more an overlap lowers a score.
        clip_before_nms: Whether boxes are clipped to the image before or after suppression.
    """

    score_threshold: float
    nms_iou: float
    max_candidates: int
    max_detections: int
    max_per_class: int | None
    suppression: Suppression
    class_agnostic: bool
    soft_nms_sigma: float
    clip_before_nms: bool

    @torch.no_grad()
    def __call__(
        self,
        decoded: Decoded,
        sizes: Sequence[tuple[int, int]],
        score_threshold: float | Float32[Tensor, "C"] | None = None,
    ) -> list[Detections]:
        """Return each image's detections in pixels of the original image, clipped to it.

        Args:
            decoded: Boxes and scores of the images.
            sizes: (height, width) of each original image.
            score_threshold: Replaces ``self.score_threshold``, by one value or by one per class.

        Raises:
            ValueError: If the number of sizes is not the number of images.
        """
        if len(sizes) != len(decoded.scores):
            raise ValueError(f"expected {len(decoded.scores)} sizes, got {len(sizes)}")
        threshold = self.score_threshold if score_threshold is None else score_threshold
        if isinstance(threshold, Tensor):
            threshold = threshold.to(decoded.scores.device)
        above = decoded.scores > threshold
        max_above = int(above.flatten(1).sum(dim=1).max()) if len(sizes) else 0
        if not max_above:
            device = decoded.scores.device
            return [Detections.empty(size).to(device) for size in sizes]
        return self._suppress(self.select_above(decoded, above, max_above), sizes, threshold)

    def select(self, decoded: Decoded) -> PreNmsBoxes:
        """Select the candidates of each image for suppression."""
        num_pairs = decoded.scores.shape[1] * decoded.scores.shape[2]
        return self.select_above(decoded, decoded.scores > self.score_threshold, num_pairs)

    def select_above(
        self, decoded: Decoded, above: Bool[Tensor, "N P C"], max_above: int
    ) -> PreNmsBoxes:
        """Select the best of the pairs ``above`` the threshold, up to ``max_above`` per image."""
        num_priors, num_classes = decoded.scores.shape[1:]
        per_class = min(self.max_per_class or num_priors, num_priors)
        limit = min(self.max_candidates, per_class * num_classes, max_above)
        scores = torch.where(above, decoded.scores, 0.0)  # NaN is not above
        if per_class < num_priors:
            scores, priors = scores.topk(per_class, dim=1)
        best = scores.flatten(1).topk(limit, dim=1)
        rows = best.indices // num_classes
        labels = best.indices % num_classes
        if per_class < num_priors:
            rows = priors.flatten(1).gather(1, best.indices)
        boxes = decoded.boxes.gather(1, rows[..., None].expand(-1, -1, 4))
        return PreNmsBoxes(boxes, best.values, labels)

    def _suppress(
        self,
        selected: PreNmsBoxes,
        sizes: Sequence[tuple[int, int]],
        threshold: float | Float32[Tensor, "C"],
    ) -> list[Detections]:
        labels, corners = selected.labels, selected.boxes.new_tensor([s[::-1] for s in sizes])
        pixels, compared, scores = self.place(selected, corners)
        if self.suppression == "soft_nms":
            chosen, scores = self.soften(compared, scores, labels)
            pixels = pixels.gather(1, chosen[..., None].expand(-1, -1, 4))
            labels = labels.gather(1, chosen)
            # The scores have been lowered, so they are compared with the threshold again.
            threshold = threshold[labels] if isinstance(threshold, Tensor) else threshold
            images, places = (scores > threshold).nonzero(as_tuple=True)
        else:
            images, places = self._hard_nms(compared, scores, labels)
        # The detections of all images, in their order, which are sliced per image without copies.
        kept = Detections(pixels[images, places], scores[images, places], labels[images, places])
        counts = torch.bincount(images, minlength=len(sizes))
        starts = (counts.cumsum(0) - counts).tolist()
        lengths = counts.clamp(max=self.max_detections).tolist()
        return [
            replace(kept[start : start + length], size=size)
            for start, length, size in zip(starts, lengths, sizes, strict=True)
        ]

    def place(
        self, selected: PreNmsBoxes, corners: Float32[Tensor, "N 2"]
    ) -> tuple[Float32[Tensor, "N K 4"], Float32[Tensor, "N K 4"], Float32[Tensor, "N K"]]:
        """Return boxes in pixels for images of (width, height): clipped, to be compared; scores."""
        sides = corners[:, None].repeat(1, 1, 2)
        unclipped = selected.boxes * sides
        pixels = torch.minimum(unclipped.clamp(min=0), sides)
        # A box outside the image has no area left, and a score of 0 drops it.
        scores = torch.where(box_ops.area(pixels) > 0, selected.scores, 0.0)
        return pixels, pixels if self.clip_before_nms else unclipped, scores

    def soften(
        self,
        boxes: Float32[Tensor, "N K 4"],
        scores: Float32[Tensor, "N K"],
        labels: Int64[Tensor, "N K"],
    ) -> tuple[Int64[Tensor, "N D"], Float32[Tensor, "N D"]]:
        """Return places and lowered scores of the ``max_detections`` best boxes, by soft-NMS."""
        groups = torch.zeros_like(labels) if self.class_agnostic else labels
        return box_ops.soft_nms(boxes, scores, groups, self.soft_nms_sigma, self.max_detections)

    def _hard_nms(
        self,
        boxes: Float32[Tensor, "N K 4"],
        scores: Float32[Tensor, "N K"],
        labels: Int64[Tensor, "N K"],
    ) -> tuple[Int64[Tensor, "M"], Int64[Tensor, "M"]]:
        """Return image and place of each kept box: image by image, highest score first.

        One call suppresses in all images, since boxes suppress each other only within a group: an
        image, or a class of an image.
        """
        images, places = (scores > 0).nonzero(as_tuple=True)
        groups = images
        if not self.class_agnostic:
            groups = images * (labels.max() + 1) + labels[images, places]
        kept = box_ops.nms(boxes[images, places], scores[images, places], groups, self.nms_iou)
        kept = kept[images[kept].argsort(stable=True)]
        return images[kept], places[kept]
