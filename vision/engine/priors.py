"""Prior scales that are fitted to the training data, and whether they pay."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import torch

from vision.config import Config, PriorsConfig, config_from_dict
from vision.engine.forecast import relative_boxes, unreached
from vision.errors import DataError
from vision.formats import Annotations
from vision.model import build_model, fit_scales, prior_boxes, prior_layout

MIN_GAIN = 0.1
"""Fraction of a class's boxes, in the mean over classes as in mAP, that fitted priors must reach in
addition for training to take them."""


class PriorFit(NamedTuple):
    """Priors fitted to boxes, and what they reach; counts are by class.

    Attributes:
        priors: As fitted.
        missed: Boxes that the configured priors do not reach.
        still_missed: Boxes that the fitted priors do not reach.
        total: All boxes.
    """

    priors: PriorsConfig
    missed: Counter[str]
    still_missed: Counter[str]
    total: Counter[str]

    def recalls(self) -> tuple[float, float]:
        """Best possible recall before and after: the fraction of the boxes within reach."""
        total = self.total.total()
        return 1 - self.missed.total() / total, 1 - self.still_missed.total() / total

    def pays(self) -> bool:
        """Whether so large a gain in recall has paid in training from random weights."""
        gains = [
            (self.missed[name] - self.still_missed[name]) / n for name, n in self.total.items()
        ]
        return sum(gains) / len(gains) >= MIN_GAIN


def fit_priors(config: Config, annotations: Annotations, names: Sequence[str]) -> PriorFit:
    """Fit the priors of a network to the boxes of some classes, ignored ones aside.

    Raises:
        DataError: If there is no such box.
    """
    labels = {name: label for label, name in enumerate(names)}
    targets = [record.target(labels) for record in annotations.records]
    boxes, match_iou = relative_boxes(targets), config.loss.match_iou
    if not len(boxes):
        raise DataError("all training boxes are difficult or crowds: priors cannot be fitted")
    with torch.device("meta"):
        map_sizes = build_model(config.model, len(names)).map_sizes
    layout = prior_layout(config.model)
    fitted = fit_scales(boxes, map_sizes, layout, match_iou)
    missed, total = unreached(targets, prior_boxes(map_sizes, layout), names, match_iou)
    still_missed, _ = unreached(targets, prior_boxes(map_sizes, fitted), names, match_iou)
    priors = PriorsConfig(min_scale=fitted.min_scale, max_scale=fitted.max_scale)
    return PriorFit(priors, missed, still_missed, total)


def choose_priors(
    config: Config, annotations: Annotations, names: Sequence[str], *, keeps: bool
) -> tuple[Config, str]:
    """The configuration, with fitted priors if that pays, and a line for the log.

    ``keeps`` tells whether training goes on with the heads of a detector, which know its priors.
    """
    network = config.model
    if network.has_fixed_priors:
        reason = f"preset {network.preset} has priors of its own"
        return config, f"model.priors=auto: not changed; {reason}"
    if keeps:
        kept = "those of the weights are kept, since with others their heads would start at random"
        return config, f"model.priors=auto: {kept}"
    fit = fit_priors(config, annotations, names)
    before, after = fit.recalls()
    reach = f"{after:.1%} of the training boxes within reach instead of {before:.1%}"
    scales = f"min_scale {fit.priors.min_scale:g}, max_scale {fit.priors.max_scale:g}"
    if not fit.pays():
        too_little = f"less than {MIN_GAIN:.0%} more of a mean class was not measured to pay"
        return config, f"model.priors=auto: not changed; {scales} would bring {reach}, {too_little}"
    values = config.model_dump(mode="json")
    values["model"]["priors"] = fit.priors.model_dump(mode="json")
    return config_from_dict(values), f"model.priors=auto: {scales}, for {reach}"
