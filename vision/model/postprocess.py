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
        scores: Scores = "softmax",
    ) -> None:
        super().__init__()
        self.register_buffer("priors", priors, persistent=False)
        self.score_threshold = score_threshold
        self.nms_iou = nms_iou
        self.max_candidates = max_candidates
        self.max_detections = max_detections
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
        num_classes = scores.shape[2]
        best = scores.flatten(1).topk(min(self.max_candidates, scores[0].numel()), dim=1)
        chosen, labels = best.indices // num_classes, best.indices % num_classes
        boxes = boxes.gather(1, chosen[..., None].expand(-1, -1, 4))
        return [
            self._suppress(*candidates)
            for candidates in zip(boxes, best.values, labels, sizes, strict=True)
        ]

    def _suppress(
        self,
        boxes: Float[Tensor, "K 4"],
        scores: Float[Tensor, "K"],
        labels: Int64[Tensor, "K"],
        size: tuple[int, int],
    ) -> Detections:
        """One image's detections from its candidates, which come best first."""
        pixels = box_ops.clip(box_ops.scale(boxes, (1, 1), size), size)
        sound = (scores > self.score_threshold) & (box_ops.area(pixels) > 0)
        pixels, scores, labels = pixels[sound], scores[sound], labels[sound]
        kept = box_ops.nms(pixels, scores, labels, self.nms_iou)[: self.max_detections]
        return Detections(pixels[kept], scores[kept], labels[kept], size)
