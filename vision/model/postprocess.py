"""From predictions to detections."""

# N batch, P priors, C classes, K candidates

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from vision import boxes as box_ops
from vision.model.presets import Scores
from vision.structures import Detections, Predictions

__all__ = ["PostProcess"]


class PostProcess(nn.Module):
    """Scores, decoding, threshold, and non-maximum suppression within each class.

    Args:
        priors: Relative, in centre form.
        score_threshold: Detections must score above.
        nms_iou: A box goes when it overlaps a better one of its class by more than this IoU.
        max_candidates: Best (prior, class) pairs of an image that suppression looks at.
        max_detections: Best detections of an image that are kept.
        max_per_class: Of those pairs, how many of a class; None for any number.
        cuts_first: Whether boxes are cut at the borders before suppression, or after it.
        scores: From logits: by ``softmax`` over classes and background, or ``sigmoid`` of each.
    """

    priors: Tensor

    def __init__(
        self,
        priors: Float[Tensor, "P 4"],
        *,
        score_threshold: float = 0.01,
        nms_iou: float = 0.5,
        max_candidates: int = 1000,
        max_detections: int = 100,
        max_per_class: int | None = None,
        cuts_first: bool = True,
        scores: Scores = "softmax",
    ) -> None:
        super().__init__()
        self.register_buffer("priors", priors, persistent=False)
        self.score_threshold = score_threshold
        self.nms_iou = nms_iou
        self.max_candidates = max_candidates
        self.max_detections = max_detections
        self.max_per_class = max_per_class
        self.cuts_first = cuts_first
        self.scores = scores

    @torch.no_grad()
    def forward(
        self, predictions: Predictions, sizes: Sequence[tuple[int, int]]
    ) -> list[Detections]:
        """Detections of each image in the pixels of an image of its size, cut at the borders.

        Args:
            predictions: Of the network.
            sizes: (height, width) of each original image.
        """
        logits = predictions.logits.float()
        scores = logits.sigmoid() if self.scores == "sigmoid" else logits.softmax(dim=-1)
        scores = scores[..., :-1]
        boxes = box_ops.to_corners(box_ops.decode(predictions.offsets.float(), self.priors))
        values, chosen, labels = self._best(scores)
        boxes = boxes.gather(1, chosen[..., None].expand(-1, -1, 4))
        return [
            self._suppress(*candidates)
            for candidates in zip(boxes, values, labels, sizes, strict=True)
        ]

    def _best(
        self, scores: Float[Tensor, "N P C"]
    ) -> tuple[Float[Tensor, "N K"], Int64[Tensor, "N K"], Int64[Tensor, "N K"]]:
        """Scores, priors and labels of the candidates, best first."""
        num_priors, num_classes = scores.shape[1:]
        limit = min(self.max_per_class or num_priors, num_priors)
        if limit < num_priors:
            scores, priors = scores.topk(limit, dim=1)
        best = scores.flatten(1).topk(min(self.max_candidates, limit * num_classes), dim=1)
        rows, labels = best.indices // num_classes, best.indices % num_classes
        if limit < num_priors:
            rows = priors.flatten(1).gather(1, best.indices)
        return best.values, rows, labels

    def _suppress(
        self,
        boxes: Float[Tensor, "K 4"],
        scores: Float[Tensor, "K"],
        labels: Int64[Tensor, "K"],
        size: tuple[int, int],
    ) -> Detections:
        """One image's detections from its candidates, which come best first."""
        whole = box_ops.scale(boxes, (1, 1), size)
        pixels = box_ops.clip(whole, size)
        sound = (scores > self.score_threshold) & (box_ops.area(pixels) > 0)
        scores, labels = scores[sound], labels[sound]
        compared = pixels[sound] if self.cuts_first else whole[sound]
        kept = box_ops.nms(compared, scores, labels, self.nms_iou)[: self.max_detections]
        return Detections(pixels[sound][kept], scores[kept], labels[kept], size)
