"""The multibox loss: assignment, hard negative mining, classification and localisation."""

# N batch, P priors, D classes with background

from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn import functional

import vision.boxes as box_ops
from vision.model.alignment import align, giou_losses, quality_losses
from vision.model.layers import Scores
from vision.model.matching import match
from vision.structures import PackedTargets, Predictions, Target, pack_targets

AssignBy: TypeAlias = Literal["ssd", "tal"]
Classification: TypeAlias = Literal["cross_entropy", "quality"]
Localisation: TypeAlias = Literal["smooth_l1", "giou"]

NO_CLASS = -1e4
"""A logit that adds nothing to a softmax's sum and has a binary cross-entropy of 0."""


class Assignment(NamedTuple):
    """The training targets of each prior of each image.

    Attributes:
        classes: Label of a positive prior's object; any label for other priors.
        offsets: Regression targets of positive priors, as `vision.boxes.encode` computes them; 0
            for other priors.
        positive: Priors to which an object is assigned.
        ignored: Priors that are neither positive nor negative.
        quality: Weights of positive priors, all 1 with SSD's matching; 0 for other priors.
    """

    classes: Int64[Tensor, "N P"]
    offsets: Float[Tensor, "N P 4"]
    positive: Bool[Tensor, "N P"]
    ignored: Bool[Tensor, "N P"]
    quality: Float[Tensor, "N P"]

    def part(self, start: int, step: int) -> "Assignment":
        """Return the assignment of every ``step``-th image, beginning with ``start``."""
        return Assignment(*(values[start::step] for values in self))


class Losses(NamedTuple):
    """The two parts of the loss; training minimises their sum."""

    classification: Float[Tensor, ""]
    localisation: Float[Tensor, ""]

    @property
    def total(self) -> Float[Tensor, ""]:
        """The sum of both parts."""
        return self.classification + self.localisation


class MultiBoxLoss(nn.Module):
    """The loss of SSD (arXiv 1512.02325, section 2.2) or of TOOD (arXiv 2108.07755, section 3.2.2).

    SSD's loss (equations 1 to 3) sums the cross-entropy of the positive priors and of each image's
    hardest negatives, and the smooth L1 loss of the positive priors' offsets, and divides both by
    the number of positives in the batch (at least 1). With task-aligned assignment, the binary
    cross-entropy of a prior's class has the prior's quality as its target, the others have 0
    (`vision.model.alignment`), the localisation loss is weighted by the quality, background is not
    used, and the sums are divided by the sum of qualities (at least 1). All is done in float32.

    Args:
        priors: Relative to the image, in centre form.
        assignment: ``ssd``: priors that overlap an object are positive; ``tal``: those whose
            predictions suit it, which needs sigmoid scores.
        classification: ``quality`` multiplies cross-entropies by the squared difference of score
            and target: the quality focal loss of GFL (arXiv 2006.04388, equation 2); needs ``tal``.
        localisation: ``giou`` for the generalised IoU loss of the decoded boxes (arXiv 1902.09630)
            instead of ``smooth_l1``.
        match_iou: Lowest IoU of a match (``ssd``), or with an ignored object (``tal``).
        negative_ratio: Number of negatives per positive of an image (SSD, "Hard negative mining").
        min_negatives: Minimum number of negatives per image, so that images without objects count.
        scores: ``sigmoid`` for the sum of the binary cross-entropies of all classes and background
            instead of the softmax cross-entropy.
        unlabelled_classes: Labels of classes without a box in the training data. Their logits are
            left out of the loss, so that nothing is learnt about them.
    """

    priors: Tensor
    unlabelled_classes: Tensor | None

    def __init__(  # noqa: PLR0913
        self,
        priors: Float[Tensor, "P 4"],
        *,
        assignment: AssignBy = "ssd",
        classification: Classification = "cross_entropy",
        localisation: Localisation = "smooth_l1",
        match_iou: float = 0.5,
        negative_ratio: float = 3.0,
        min_negatives: int = 3,
        scores: Scores = "softmax",
        unlabelled_classes: Sequence[int] = (),
    ) -> None:
        super().__init__()
        self.register_buffer("priors", priors, persistent=False)
        self.assignment = assignment
        self.classification = classification
        self.localisation = localisation
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
    def assign(self, targets: PackedTargets, predictions: Predictions | None = None) -> Assignment:
        """Assign the objects of images to the priors.

        Args:
            targets: The objects, on the device of the priors.
            predictions: Predictions for the images; not needed if ``assignment`` is ``ssd``.
        """
        if self.assignment == "ssd":
            matches = match(targets, self.priors, self.match_iou)
        else:
            assert predictions is not None
            matches = align(targets, self.priors, predictions, self.match_iou)
        objects, ignored, quality = matches
        positive, rows = objects >= 0, objects.clamp(min=0)
        # All priors are encoded, as indexing the positive ones makes the host wait for the GPU.
        # The others are encoded as themselves, which keeps all numbers finite.
        boxes = box_ops.to_centre(targets.boxes)[rows]
        centred = torch.where(positive[..., None], boxes, self.priors)
        offsets = box_ops.encode(centred, self.priors)
        return Assignment(targets.labels[rows], offsets, positive, ignored, quality)

    def forward(
        self,
        predictions: Predictions,
        targets: Sequence[Target] | Assignment,
        normaliser: Float[Tensor, ""] | None = None,
    ) -> Losses:
        """Compute the losses of a batch.

        Args:
            predictions: The network's output.
            targets: One target per image, or the result of `assign`.
            normaliser: Divisor of the sums for a part of a batch; by default the sum of qualities
                (at least 1) of ``targets``.
        """
        logits, offsets = predictions.logits.float(), predictions.offsets.float()
        if not isinstance(targets, Assignment):
            targets = self.assign(pack_targets(targets).to(logits.device), predictions)
        if self.unlabelled_classes is not None:
            logits = logits.index_fill(2, self.unlabelled_classes, NO_CLASS)
        if self.localisation == "giou":
            distances = giou_losses(offsets, targets.offsets, self.priors)[..., None]
        else:
            distances = functional.smooth_l1_loss(offsets, targets.offsets, reduction="none")
        distances = distances * targets.quality[..., None]
        localisation = distances.masked_fill(~targets.positive[..., None], 0).sum()
        count = targets.quality.sum().clamp(min=1) if normaliser is None else normaliser
        return Losses(self._classify(logits, targets) / count, localisation / count)

    def _classify(self, logits: Float[Tensor, "N P D"], targets: Assignment) -> Float[Tensor, ""]:
        """Sum the classification losses of the priors that take part."""
        if self.assignment == "tal":
            is_focal = self.classification == "quality"
            scores = logits[..., :-1]
            losses = quality_losses(scores, targets.classes, targets.quality, is_focal=is_focal)
            return losses.masked_fill(targets.ignored[..., None], 0).sum()
        classes = targets.classes.masked_fill(~targets.positive, logits.shape[2] - 1)
        if self.scores == "softmax":
            losses = functional.cross_entropy(logits.transpose(1, 2), classes, reduction="none")
        else:
            one_hot = functional.one_hot(classes, logits.shape[2]).to(logits.dtype)
            losses = functional.binary_cross_entropy_with_logits(logits, one_hot, reduction="none")
            losses = losses.sum(dim=2)
        negative = self._mine(losses.detach(), targets.positive, targets.ignored)
        return losses.masked_fill(~(targets.positive | negative), 0).sum()

    def _mine(
        self,
        losses: Float[Tensor, "N P"],
        positive: Bool[Tensor, "N P"],
        ignored: Bool[Tensor, "N P"],
    ) -> Bool[Tensor, "N P"]:
        """Select each image's hardest negatives: those with the highest classification loss."""
        num_negatives = (self.negative_ratio * positive.sum(dim=1)).clamp(min=self.min_negatives)
        hardness = losses.masked_fill(positive | ignored, -torch.inf)
        # The first sort returns the prior of each rank; the second inverts it to the rank of each
        # prior, so that images may have different numbers of negatives without a loop over them.
        rank = hardness.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
        return (rank < num_negatives[:, None]) & ~positive & ~ignored
