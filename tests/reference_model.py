"""The detector's arithmetic in slow, plain form, one number at a time; and random inputs for it."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from vision.structures import Predictions, Target

Box = Sequence[float]


def iou(first: Box, second: Box) -> float:
    """Intersection over union of two corner-form boxes; 0 where there is no union."""
    shared = intersection(first, second)
    union = area(first) + area(second) - shared
    return shared / union if union > 0 else 0.0


def intersection(first: Box, second: Box) -> float:
    """Area that two corner-form boxes share."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    return max(0.0, width) * max(0.0, height)


def area(box: Box) -> float:
    """Area of a corner-form box."""
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])


def corners(centre_form: Box) -> list[float]:
    """(centre x, centre y, width, height) as (x0, y0, x1, y1)."""
    x, y, width, height = centre_form
    return [x - width / 2, y - height / 2, x + width / 2, y + height / 2]


def encode(box: Box, prior: Box) -> list[float]:
    """SSD's four regression targets of a corner-form box for a centre-form prior."""
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return [
        (x - prior[0]) / prior[2] / 0.1,
        (y - prior[1]) / prior[3] / 0.1,
        math.log((box[2] - box[0]) / prior[2]) / 0.2,
        math.log((box[3] - box[1]) / prior[3]) / 0.2,
    ]


def decode(offsets: Box, prior: Box) -> list[float]:
    """The corner-form box of four offsets from a centre-form prior."""
    x, y = offsets[0] * 0.1 * prior[2] + prior[0], offsets[1] * 0.1 * prior[3] + prior[1]
    width, height = (prior[2 + k] * math.exp(offsets[2 + k] * 0.2) for k in range(2))
    return corners([x, y, width, height])


def relative(target: Target) -> list[list[float]]:
    """A target's boxes as fractions of its image's width and height."""
    height, width = target.size
    sides = [width, height, width, height]
    return [
        [value / side for value, side in zip(box, sides, strict=True)]
        for box in target.boxes.tolist()
    ]


def match(target: Target, priors: Tensor, threshold: float = 0.5) -> tuple[list[int], list[bool]]:
    """Object of each prior (-1 for none), and whether the prior is ignored.

    Goes through all (object, prior) pairs by falling IoU, and gives each object the first prior
    that is still free.
    """
    boxes, places = relative(target), [corners(prior) for prior in priors.tolist()]
    ignored_boxes = target.ignore.tolist()
    sound = [k for k, box in enumerate(boxes) if area(box) > 0 and not ignored_boxes[k]]
    objects = [-1] * len(places)
    for index, place in enumerate(places):
        best = max(sound, key=lambda k: iou(boxes[k], place), default=-1)
        if best >= 0 and iou(boxes[best], place) >= threshold:
            objects[index] = best
    pairs = [(iou(boxes[k], place), k, p) for k in sound for p, place in enumerate(places)]
    served: set[int] = set()
    taken: set[int] = set()
    for overlap, k, p in sorted(pairs, reverse=True):
        if overlap > 0 and k not in served and p not in taken:
            objects[p] = k
            served.add(k)
            taken.add(p)
    ignored = [_is_ignored(place, target, threshold) for place in places]
    return objects, [objects[p] < 0 and ignored[p] for p in range(len(places))]


def align(
    target: Target, priors: Tensor, logits: Tensor, offsets: Tensor, threshold: float = 0.5
) -> tuple[list[int], list[bool], list[float]]:
    """Task-aligned object of each prior (-1 for none), whether it is ignored, and its quality.

    ``logits`` and ``offsets`` are one image's.
    """
    boxes, places = relative(target), priors.tolist()
    found = [decode(row, prior) for row, prior in zip(offsets.tolist(), places, strict=True)]
    passed_over = target.ignore.tolist()
    sound = [k for k, box in enumerate(boxes) if area(box) > 0 and not passed_over[k]]
    overlap = {(k, p): iou(boxes[k], box) for k in sound for p, box in enumerate(found)}
    score = logits.sigmoid().tolist()
    alignment = {
        (k, p): score[p][int(target.labels[k])] * value**6 for (k, p), value in overlap.items()
    }
    claims: dict[int, list[int]] = {}
    for k in sound:
        x0, y0, x1, y1 = boxes[k]
        inside = [
            p
            for p, (x, y, *_) in enumerate(places)
            if x0 < x < x1 and y0 < y < y1 and alignment[k, p] > 0
        ]
        for p in sorted(inside, key=lambda p: alignment[k, p], reverse=True)[:13]:
            claims.setdefault(p, []).append(k)
    objects = [
        max(claims.get(p, []), key=lambda k: overlap[k, p], default=-1) for p in range(len(places))
    ]
    left = [k for k in sound if k not in objects]
    free = [p for p, k in enumerate(objects) if k < 0]
    pairs = [(iou(boxes[k], corners(places[p])), k, p) for k in left for p in free]
    least = [0.0] * len(places)
    for value, k, p in sorted(pairs, key=lambda pair: (-pair[0], pair[1], pair[2])):
        if value > 0 and k not in objects and objects[p] < 0:
            objects[p], least[p] = k, value
    quality = []
    for p, k in enumerate(objects):
        own = [other for other, object_ in enumerate(objects) if object_ == k]
        highest = max(alignment[k, other] for other in own) if k >= 0 else 0.0
        best = max(overlap[k, other] for other in own) if k >= 0 else 0.0
        quality.append(max(least[p], alignment[k, p] / highest * best if highest > 0 else 0.0))
    ignored = [
        objects[p] < 0 and _is_ignored(box, target, threshold) for p, box in enumerate(found)
    ]
    return objects, ignored, quality


def _is_ignored(place: Box, target: Target, threshold: float) -> bool:
    """Whether a box lies on a difficult object, or inside a crowd."""
    return any(
        intersection(box, place) >= threshold * area(place)
        if is_crowd
        else is_ignored and iou(box, place) >= threshold
        for box, is_ignored, is_crowd in zip(
            relative(target), target.ignore.tolist(), target.crowd.tolist(), strict=True
        )
    )


def loss(
    logits: Tensor,
    offsets: Tensor,
    targets: Sequence[Target],
    priors: Tensor,
    ratio: float = 3.0,
    floor: int = 3,
    scores: str = "softmax",
) -> tuple[float, float]:
    """Classification and localisation loss of a batch."""
    classification = localisation = 0.0
    positives = 0
    for row, target in enumerate(targets):
        objects, ignored = match(target, priors)
        boxes = relative(target)
        negatives = []
        count = 0
        for p, k in enumerate(objects):
            values = logits[row, p].tolist()
            expected = len(values) - 1 if k < 0 else int(target.labels[k])
            entropy = _log_sum_exp(values) - values[expected]
            if scores == "sigmoid":
                entropy = sum(_log_sum_exp([0, v]) for v in values) - values[expected]
            if k >= 0:
                count += 1
                classification += entropy
                aims = encode(boxes[k], priors[p].tolist())
                localisation += sum(map(_smooth_l1, offsets[row, p].tolist(), aims))
            elif not ignored[p]:
                negatives.append(entropy)
        hardest = sorted(negatives, reverse=True)[: max(floor, math.ceil(ratio * count))]
        classification += sum(hardest)
        positives += count
    return classification / max(1, positives), localisation / max(1, positives)


def _log_sum_exp(values: Sequence[float]) -> float:
    top = max(values)
    return top + math.log(sum(math.exp(value - top) for value in values))


def _smooth_l1(value: float, aim: float) -> float:
    gap = abs(value - aim)
    return gap - 0.5 if gap >= 1 else gap * gap / 2


class Found(NamedTuple):
    """One detection."""

    score: float
    label: int
    box: list[float]


def soft_nms(
    boxes: list[list[float]], scores: list[float], groups: list[int], sigma: float
) -> list[tuple[int, float]]:
    """Index and score of each box in the order in which Soft-NMS takes them."""
    left = dict(enumerate(scores))
    taken = []
    while left:
        best = max(left, key=lambda index: left[index])
        taken.append((best, left.pop(best)))
        for index in left:
            if groups[index] == groups[best]:
                left[index] *= math.exp(-(iou(boxes[index], boxes[best]) ** 2) / sigma)
    return taken


def post_process(
    logits: Tensor,
    offsets: Tensor,
    priors: Tensor,
    size: tuple[int, int],
    *,
    threshold: float,
    nms_iou: float,
    max_candidates: int,
    max_detections: int,
    max_per_class: int | None = None,
    scores: str = "softmax",
    clip_before_nms: bool = True,
) -> list[Found]:
    """One image's detections, best first."""
    height, width = size
    candidates = []
    for p, prior in enumerate(priors.tolist()):
        x0, y0, x1, y1 = decode(offsets[p].tolist(), prior)
        box = [x0 * width, y0 * height, x1 * width, y1 * height]
        values = logits[p].tolist()
        total = _log_sum_exp(values)
        for label, value in enumerate(values[:-1]):
            above = _log_sum_exp([0, value]) if scores == "sigmoid" else total
            candidates.append(Found(math.exp(value - above), label, box))
    candidates.sort(key=lambda found: found.score, reverse=True)
    if max_per_class is not None:
        ranks = [sum(c.label == f.label for c in candidates[:i]) for i, f in enumerate(candidates)]
        candidates = [f for f, r in zip(candidates, ranks, strict=True) if r < max_per_class]
    kept: list[Found] = []
    for found in candidates[:max_candidates]:
        cut = found._replace(box=_cut(found.box, size))
        compared = cut if clip_before_nms else found
        is_sound = found.score > threshold and area(cut.box) > 0
        if is_sound and not any(
            compared.label == better.label and iou(compared.box, better.box) > nms_iou
            for better in kept
        ):
            kept.append(compared)
    return [found._replace(box=_cut(found.box, size)) for found in kept[:max_detections]]


def _cut(box: Box, size: tuple[int, int]) -> list[float]:
    return [min(max(value, 0), size[1 - k % 2]) for k, value in enumerate(box)]


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_predictions(num_images: int, num_priors: int, seed: int = 0) -> Predictions:
    """Of three classes, as leaves of a graph; boxes are near their priors."""
    generator = seeded(seed)
    logits = 2 * torch.randn(num_images, num_priors, 4, generator=generator)
    offsets = torch.randn(num_images, num_priors, 4, generator=generator)
    return Predictions(logits.requires_grad_(), offsets.requires_grad_())


def random_boxes(generator: torch.Generator, count: int, size: tuple[int, int]) -> Tensor:
    """Corner-form boxes of all shapes inside an image of (height, width)."""
    ends = torch.rand(count, 2, 2, generator=generator).sort(dim=1).values
    height, width = size
    return (ends * torch.tensor([width, height])).reshape(count, 4)


def random_target(
    generator: torch.Generator,
    count: int,
    size: tuple[int, int] = (240, 320),
    num_classes: int = 3,
    *,
    flags: bool = False,
) -> Target:
    """Objects of all shapes, some close to each other; with ``flags`` some are to be ignored."""
    boxes = random_boxes(generator, count, size)
    # Every other object lies on the one before, moved by a few pixels: they want the same prior.
    boxes[1::2] = boxes[: count - 1 : 2] + torch.rand(count // 2, 4, generator=generator) * 4
    ignore = torch.rand(count, generator=generator) < (0.4 if flags else 0.0)
    crowd = ignore & (torch.rand(count, generator=generator) < 0.5)
    labels = torch.randint(num_classes, (count,), generator=generator)
    return Target(boxes, labels, ignore, "random", size, crowd)


def random_priors(generator: torch.Generator, count: int) -> Tensor:
    """Relative centre-form priors at no two places alike, so that no two overlaps are equal."""
    centres = torch.rand(count, 2, generator=generator)
    return torch.cat([centres, 0.1 + 0.5 * torch.rand(count, 2, generator=generator)], dim=1)


def randomise(network: Any, seed: int = 0) -> None:  # noqa: ANN401
    """Random weights, biases and norm statistics that keep a network's activations near 1."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            inputs = module.weight[0].numel()
            _draw(module.weight, generator, 0, inputs**-0.5)
            if module.bias is not None:
                _draw(module.bias, generator, 0, 0.2)
        elif isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            _draw(module.running_mean, generator, 0, 0.3)
            _draw(module.weight, generator, 1, 0.2)
            _draw(module.bias, generator, 0, 0.3)
            module.running_var.uniform_(0.5, 1.5, generator=generator)


@torch.no_grad()
def _draw(values: Tensor, generator: torch.Generator, mean: float, std: float) -> None:
    values.normal_(mean, std, generator=generator)
