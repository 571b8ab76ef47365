"""The multibox loss: assignment, hard negative mining, classification and localisation."""

# N batch, P priors, C classes

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
"""A logit that adds nothing to a softmax's sum, and has a binary cross-entropy of 0."""


class Assignment(NamedTuple):
    """What each prior of each image learns.

    Attributes:
        classes: The class of a positive prior's object; any class for the others.
        offsets: Regression targets of the positive priors, in the form of `vision.boxes.encode`; 0
            for the others.
        positive: Priors that learn an object.
        ignored: Priors that are neither positive nor negative.
        quality: Weights of the positive priors, 1 for all by the matching of SSD; 0 for the others.
    """

    classes: Int64[Tensor, "N P"]
    offsets: Float[Tensor, "N P 4"]
    positive: Bool[Tensor, "N P"]
    ignored: Bool[Tensor, "N P"]
    quality: Float[Tensor, "N P"]

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
    """SSD's loss (arXiv 1512.02325, section 2.2, equations 1 to 3), or TOOD's (arXiv 2108.07755).

    SSD's is the cross-entropy of the positive priors and the hardest negatives of each image, and
    smooth L1 on the offsets of the positives, both summed and divided by the batch's positives (1
    if there are none). With task-aligned assignment each class of each prior has a binary
    cross-entropy whose target is the prior's quality (`vision.model.alignment`), the localisation
    of a positive prior is weighted by it, background has no part, and the sums are divided by the
    sum of qualities. All is computed in float32 whatever the predictions come in.

    Args:
        priors: Relative, in centre form.
        assignment: ``ssd`` for priors that overlap an object, ``tal`` for those whose predictions
            suit it, which takes sigmoid scores.
        classification: ``quality`` for cross-entropies times the squared difference of score and
            quality, the quality focal loss of GFL (arXiv 2006.04388, equation 5); needs ``tal``.
        localisation: ``giou`` for one minus the generalised IoU of the decoded boxes (arXiv
            1902.09630), in place of ``smooth_l1``.
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
        """What the priors learn from the objects of some images.

        Args:
            targets: On the device of the priors.
            predictions: Of the images; not needed if ``assignment`` is ``ssd``.
        """
        if self.assignment == "ssd":
            matches = match(targets, self.priors, self.match_iou)
        else:
            assert predictions is not None
            matches = align(targets, self.priors, predictions, self.match_iou)
        objects, ignored, quality = matches
        positive, rows = objects >= 0, objects.clamp(min=0)
        # Over all priors: to pick out the positive ones, a GPU would have to wait for their number.
        # Those that are not positive are encoded as themselves, which keeps all numbers finite.
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
        """The losses of a batch.

        Args:
            predictions: Of the network.
            targets: One an image, or what `assign` made of them.
            normaliser: What the sums are divided by where this is a part of a batch; this part's
                own sum of qualities (at least 1) if left out.
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
        """The sum of the classification losses of the priors that take part; D is C + 1."""
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
        """The hardest negatives of each image: those of the highest classification loss."""
        num_negatives = (self.negative_ratio * positive.sum(dim=1)).clamp(min=self.min_negatives)
        hardness = losses.masked_fill(positive | ignored, -torch.inf)
        # The first sort gives the prior of each rank; sorted again, it gives the rank of each
        # prior, so that images may differ in how many they take without a loop over them.
        rank = hardness.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
        return (rank < num_negatives[:, None]) & ~positive & ~ignored
