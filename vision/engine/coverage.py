"""How many objects the priors reach."""

from collections import Counter
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

import vision.boxes as box_ops
from vision.structures import Target

__all__ = ["describe_coverage", "unreached"]

_CHUNK = 512


def unreached(
    targets: Sequence[Target],
    priors: Float[Tensor, "P 4"],
    names: Sequence[str],
    match_iou: float = 0.5,
) -> tuple[Counter[str], Counter[str]]:
    """Boxes of each class that no prior overlaps by ``match_iou``, and boxes in all.

    Ignored boxes do not count. ``priors`` are relative, in centre form.
    """
    corners = box_ops.to_corners(priors).cpu()
    wanted = [(box_ops.scale(t.boxes, t.size, (1, 1)), t.labels, t.ignore) for t in targets]
    boxes = torch.cat([box[~ignore] for box, _, ignore in wanted])
    labels = torch.cat([label[~ignore] for _, label, ignore in wanted])
    best = [
        box_ops.iou(chunk, corners).amax(dim=1)
        for chunk in torch.split(boxes, _CHUNK)
        if len(chunk)
    ]
    missed = torch.cat(best) < match_iou if best else torch.zeros(0, dtype=torch.bool)
    return (
        Counter(names[label] for label in labels[missed].tolist()),
        Counter(names[label] for label in labels.tolist()),
    )


def describe_coverage(missed: Counter[str], total: Counter[str], match_iou: float) -> str:
    """One line for a person."""
    share = f"{sum(missed.values())} of {sum(total.values())} training boxes"
    line = f"priors: no prior reaches {share} at IoU {match_iou:g}"
    if not missed:
        return line
    worst = ", ".join(f"{name} {count} of {total[name]}" for name, count in missed.most_common())
    return f"{line} ({worst}); they still get their best prior each, see model.priors.min_scale"
