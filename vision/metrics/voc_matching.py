"""Assignment of detections to objects by the rules of the PASCAL VOC development kit."""

from collections.abc import Sequence

import numpy as np

from vision.detections import Detections
from vision.metrics.inputs import check_inputs
from vision.metrics.pairs import find_pairs
from vision.metrics.ranking import Matches
from vision.structures import Target


def match_by_voc(
    detections: Sequence[Detections],
    targets: Sequence[Target],
    num_classes: int,
    iou_threshold: float = 0.5,
) -> Matches:
    """Determine which detections count and which are true positives; see `voc_ap` for the rules.

    Raises:
        ValueError: If detections and targets do not fit (`check_inputs`).
    """
    found, truth = check_inputs(detections, targets, num_classes)
    order = np.lexsort((-found.scores, found.labels))
    pairs = find_pairs(found, order, truth, truth.crowd, iou_threshold)
    is_counted, is_true_positive = np.ones(len(order), np.bool_), np.zeros(len(order), np.bool_)
    in_crowd = truth.crowd[pairs.truth]
    is_counted[pairs.found[in_crowd]] = False
    pairs = pairs.select(~in_crowd)
    # The object of each detection is the one that it overlaps most, even if it is already detected.
    # By descending score, as in the development kit, the first detection of an object is right and
    # all later ones are wrong.
    pairs = pairs.select(np.lexsort((-pairs.overlap, pairs.found)))
    matched, first = np.unique(pairs.found, return_index=True)
    objects = pairs.truth[first]
    is_counted[matched] = counts = ~truth.ignore[objects]
    _, first = np.unique(objects[counts], return_index=True)
    is_true_positive[matched[counts][first]] = True
    boxes = ~(truth.ignore | truth.crowd)
    return Matches(
        found.images[order],
        found.labels[order],
        is_true_positive[None],
        is_counted[None],
        truth.images[boxes],
        truth.labels[boxes],
        num_classes,
    )
