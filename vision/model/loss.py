"""The multibox loss: assignment, hard negative mining, classification and localisation."""

# N batch, P priors, C classes

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn import functional

import vision.boxes as box_ops
from vision.model.layers import Scores
from vision.model.matching import match
from vision.structures import PackedTargets, Predictions, Target, pack_targets

NO_CLASS = -1e4
"""A logit that adds nothing to a softmax's sum, and has a binary cross-entropy of 0."""


class Assignment(NamedTuple):
    """What each prior of each image learns.

    Attributes:
        classes: The class of a positive prior's object; the background's index for the others.
        offsets: Regression targets of the positive priors, in the form of `vision.boxes.encode`; 0
            for the others.
        positive: Priors that learn an object.
        ignored: Priors that are neither positive nor negative.
    """

    classes: Int64[Tensor, "N P"]
    offsets: Float[Tensor, "N P 4"]
    positive: Bool[Tensor, "N P"]
    ignored: Bool[Tensor, "N P"]

    def part(self, start: int, step: int) -> "Assignment":
        """The assignment of every ``step``-th image from ``start`` on."""
        return Assignment(*(values[start::step] for values in self))


class Losses(NamedTuple):
    """The parts of the loss; their sum is what training lowers."""

    classification: Float[Tensor, ""]
    localisation: Float[Tensor, ""]

    @property
    def total(self) -> Float[Tensor, ""]:
        """The sum."""
        return self.classification + self.localisation


class MultiBoxLoss(nn.Module):
    """SSD's loss (arXiv 1512.02325, section 2.2, equations 1 to 3).

    Softmax cross-entropy on the positive priors and the hardest negatives of each image, smooth
    L1 on the offsets of the positives, both summed and divided by the batch's positives (1 if
    there are none). It is computed in float32 whatever the predictions come in.

    Args:
        priors: Relative, in centre form.
        match_iou: A prior is positive from this IoU with an object on.
        negative_ratio: Hardest negatives per positive of an image.
        min_negatives: At least so many per image, so that images without objects teach.
        scores: ``sigmoid`` for binary cross-entropies of all classes and background, summed, in
            place of the softmax.
        unlabelled_classes: Labels of classes without a box in the training data: their logits take
            no part, so that nothing is learned about them.
    """

    priors: Tensor
    unlabelled_classes: Tensor | None

    def __init__(
        self,
        priors: Float[Tensor, "P 4"],
        *,
        match_iou: float = 0.5,
        negative_ratio: float = 3.0,
        min_negatives: int = 3,
        scores: Scores = "softmax",
        unlabelled_classes: Sequence[int] = (),
    ) -> None:
        super().__init__()
        self.register_buffer("priors", priors, persistent=False)
        self.match_iou = match_iou
        self.negative_ratio = negative_ratio
        self.min_negatives = min_negatives
        self.scores = scores
        columns = (
            torch.tensor(list(unlabelled_classes), device=priors.device)
            if unlabelled_classes
            else None
        )
        self.register_buffer("unlabelled_classes", columns, persistent=False)

    @torch.no_grad()
    def assign(self, targets: PackedTargets, num_classes: int) -> Assignment:
        """What the priors learn from the objects of some images.

        Args:
            targets: On the device of the priors.
            num_classes: Classes without background.
        """
        objects, ignored = match(targets, self.priors, self.match_iou)
        positive, rows = objects >= 0, objects.clamp(min=0)
        classes = targets.labels[rows].masked_fill(~positive, num_classes)
        # Over all priors: to pick out the positive ones, a GPU would have to wait for their number.
        # Those that are not positive are encoded as themselves, which keeps all numbers finite.
        boxes = box_ops.to_centre(targets.boxes)[rows]
        centred = torch.where(positive[..., None], boxes, self.priors)
        return Assignment(classes, box_ops.encode(centred, self.priors), positive, ignored)

    def forward(
        self,
        predictions: Predictions,
        targets: Sequence[Target] | Assignment,
        normaliser: Float[Tensor, ""] | None = None,
    ) -> Losses:
        """The losses of a batch.

        Args:
            predictions: Of the network.
            targets: One an image, or what `assign` made of them.
            normaliser: What the sums are divided by where this is a part of a batch; this part's
                own positives (at least 1) if left out.
        """
        logits, offsets = predictions.logits.float(), predictions.offsets.float()
        if not isinstance(targets, Assignment):
            packed = pack_targets(targets).to(logits.device)
            targets = self.assign(packed, logits.shape[2] - 1)
        positive = targets.positive
        losses = self._classify(logits, targets.classes)
        negative = self._mine(losses.detach(), positive, targets.ignored)
        classification = losses.masked_fill(~(positive | negative), 0).sum()
        distances = functional.smooth_l1_loss(offsets, targets.offsets, reduction="none")
        localisation = distances.masked_fill(~positive[..., None], 0).sum()
        count = positive.sum().clamp(min=1) if normaliser is None else normaliser
        return Losses(classification / count, localisation / count)

    def _classify(
        self, logits: Float[Tensor, "N P D"], classes: Int64[Tensor, "N P"]
    ) -> Float[Tensor, "N P"]:
        """The classification loss of each prior; D is C + 1."""
        if self.unlabelled_classes is not None:
            logits = logits.index_fill(2, self.unlabelled_classes, NO_CLASS)
        if self.scores == "softmax":
            return functional.cross_entropy(logits.transpose(1, 2), classes, reduction="none")
        one_hot = functional.one_hot(classes, logits.shape[2]).to(logits.dtype)
        losses = functional.binary_cross_entropy_with_logits(logits, one_hot, reduction="none")
        return losses.sum(dim=2)

    def _mine(
        self,
        losses: Float[Tensor, "N P"],
        positive: Bool[Tensor, "N P"],
        ignored: Bool[Tensor, "N P"],
    ) -> Bool[Tensor, "N P"]:
        """The hardest negatives of each image: those of the highest classification loss."""
        num_negatives = (self.negative_ratio * positive.sum(dim=1)).clamp(min=self.min_negatives)
        hardness = losses.masked_fill(positive | ignored, -torch.inf)
        # The first sort gives the prior of each rank; sorted again, it gives the rank of each
        # prior, so that images may differ in how many they take without a loop over them.
        rank = hardness.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
        return (rank < num_negatives[:, None]) & ~positive & ~ignored
