"""Fit prior scales to the training data, and decide whether they are worth using."""

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
"""Minimum increase of the fraction of boxes within reach, averaged over classes as in mAP, for
training to use fitted priors."""


class PriorFit(NamedTuple):
    """Priors fitted to boxes, and the number of boxes of each class that they do not reach.

    Attributes:
        priors: The fitted priors.
        missed: Number of boxes that the configured priors do not reach.
        still_missed: Number of boxes that the fitted priors do not reach.
        total: Number of all boxes.
    """

    priors: PriorsConfig
    missed: Counter[str]
    still_missed: Counter[str]
    total: Counter[str]

    def recalls(self) -> tuple[float, float]:
        """Return the best possible recall, or fraction of boxes within reach, before and after."""
        total = self.total.total()
        return 1 - self.missed.total() / total, 1 - self.still_missed.total() / total

    def pays(self) -> bool:
        """Return whether the gain in recall is as large as gains that improved training results."""
        gains = [
            (self.missed[name] - self.still_missed[name]) / n for name, n in self.total.items()
        ]
        return sum(gains) / len(gains) >= MIN_GAIN


def fit_priors(config: Config, annotations: Annotations, names: Sequence[str]) -> PriorFit:
    """Fit the priors of a network to the boxes of the classes ``names``, except ignored boxes.

    Raises:
        DataError: If all boxes are ignored, or there are none.
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
    """Return the configuration, with fitted priors if they are worth it, and a line for the log.

    ``keeps`` tells whether training starts with a detector's heads, which depend on its priors.
    """
    network = config.model
    if network.has_fixed_priors:
        reason = f"preset {network.preset} has priors of its own"
        return config, f"model.priors=auto: not changed; {reason}"
    if keeps:
        kept = "the priors of the weights are kept; with others the heads would start at random"
        return config, f"model.priors=auto: {kept}"
    fit = fit_priors(config, annotations, names)
    before, after = fit.recalls()
    reach = f"{after:.1%} of the training boxes within reach instead of {before:.1%}"
    scales = f"min_scale {fit.priors.min_scale:g}, max_scale {fit.priors.max_scale:g}"
    if not fit.pays():
        too_little = f"a mean gain per class below {MIN_GAIN:.0%} is not known to help training"
        return config, f"model.priors=auto: not changed; {scales} would bring {reach}, {too_little}"
    values = config.model_dump(mode="json")
    values["model"]["priors"] = fit.priors.model_dump(mode="json")
    return config_from_dict(values), f"model.priors=auto: {scales}, which brings {reach}"
