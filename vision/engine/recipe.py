"""The recipe that chooses itself: what a user has not set, from the data and the weights."""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple, TypeAlias

from vision.config import PRIOR_SIDES, Config, config_from_dict

__all__ = ["Facts", "choose_recipe"]

MANY_FRESH = 4
"""Fresh classes from which on they are taken to be told apart by details."""
LARGE = 384
"""Image side for those."""
CROWDED = 5
"""Boxes an image from which on many are small, and a crop leaves most of them."""
MIDDLE = 352
"""Image side for those."""
FEW_BOXES = 200
"""Boxes of a class below which several fresh ones take more epochs."""
MANY_BOXES = 500
"""Boxes of a class from which on all layers may change alike."""
SHORT = 10
"""Epochs up to which evaluation on the way costs more than it tells."""
FEW_CORES = 2
"""Cores up to which reading processes would slow down the network."""
OF_ADAMW = frozenset({"optim.lr", "optim.weight_decay"})
"""Keys whose values suit no other optimiser."""


class Facts(NamedTuple):
    """What a recipe is chosen by.

    Attributes:
        images: Training images.
        boxes: Training boxes that are not ignored.
        known: Classes with boxes that the weights know.
        fresh: Classes with boxes that they do not know.
        cores: Processor cores to train on; None on another device.
        min_batch: Smallest number of images in a step: two for each part of it in each process.
    """

    images: int
    boxes: int
    known: int
    fresh: int
    cores: int | None = None
    min_batch: int = 2


Choice: TypeAlias = tuple[str, Any, str]
"""A key, its value, and why."""


def choose_recipe(config: Config, given: Config, facts: Facts) -> tuple[Config, list[str]]:
    """The configuration with each key chosen that the user has not set, and a line for each.

    The values are those that did best over several data sets and two seeds, with AdamW; the tables
    are in docs/experiments.md.

    Args:
        config: The configuration so far, with the network of the weights.
        given: What the user gave; ``model_fields_set`` of its sections tells what was set.
        facts: What to choose by.
    """
    values = config.model_dump(mode="json")
    kind = "known" if not facts.fresh else f"{facts.fresh} fresh of {facts.fresh + facts.known}"
    lines = [f"recipe for {facts.images} images, {facts.boxes} boxes, classes: {kind}"]
    is_sgd = "name" in given.optim.model_fields_set and given.optim.name != "adamw"
    for key, value, reason in _choices(config, given, facts):
        section, name = key.split(".")
        is_set = name in getattr(given, section).model_fields_set
        if not is_set and not (is_sgd and key in OF_ADAMW):
            values[section][name] = value
            lines.append(f"  {key}={value}: {reason}")
    return config_from_dict(values), lines


def _choices(config: Config, given: Config, facts: Facts) -> Iterator[Choice]:
    yield from _choices_for_classes(config, facts)
    is_set = given.train.model_fields_set
    epochs, reason = _epochs(facts)
    epochs = max(epochs, config.train.small.epochs + 1)
    yield ("train.epochs", epochs, reason)
    batch = facts.min_batch * math.ceil((8 if facts.images < 1000 else 16) / facts.min_batch)
    yield ("train.batch_size", batch, "small batches make more steps of few images")
    epochs = given.train.epochs if "epochs" in is_set else epochs
    batch = given.train.batch_size if "batch_size" in is_set else batch
    steps = epochs * max(1, facts.images // batch)
    decay = 0.98 if steps < 1000 else 0.995
    yield ("train.ema_decay", decay, f"the mean of the last of some {steps} steps")
    if config.data.val is not None and config.train.patience is None:
        every = epochs if epochs <= SHORT else math.ceil(epochs / 2)
        yield ("train.eval_every", every, "beside the start, the end counts most")
    yield ("optim.name", "adamw", "learns more than SGD in as few steps")
    yield ("optim.weight_decay", 0.05, "AdamW's")
    yield ("optim.warmup_epochs", 0.5, "the averages of AdamW and the heads settle")
    if facts.boxes >= CROWDED * facts.images:
        yield ("augment.preset", "ssdlite", "of many boxes an image crops leave most")
    else:
        yield ("augment.preset", "photometric", "crops would cost some of the few boxes")
        if "preset" not in given.augment.model_fields_set:
            yield ("augment.on_device", True, "a batch at once is quicker")
    if facts.cores is not None and facts.cores <= FEW_CORES:
        yield ("train.workers", 0, "readers would take cores from the network")


def _choices_for_classes(config: Config, facts: Facts) -> Iterator[Choice]:
    """What depends on how much of the classes the weights know."""
    if not facts.fresh:
        yield ("optim.lr", 2e-4, "classes that the weights know want small steps")
        yield ("train.freeze", 8, "the first layers need no change")
        yield ("train.freeze_norms", True, "few images give poor statistics")
    elif facts.fresh == 1:
        yield ("optim.lr", 8e-4, "one fresh class")
        yield ("train.freeze", 8, "the first layers need no change")
    else:
        yield ("optim.lr", 1e-3, "several fresh classes must part")
        yield ("train.freeze", 3, "what is far from the weights' data wants more layers")
    if facts.fresh and _per_class(facts) < MANY_BOXES:
        yield ("optim.layer_decay", 0.85, "the first layers change least")
    if facts.fresh <= 1 and config.data.val is not None:
        fractions = [0.5, 0.8] if facts.fresh else [0.2, 0.5, 0.8]
        yield ("train.interpolation", fractions, "some of the start may help; val decides")
    if not facts.fresh or config.model.preset in PRIOR_SIDES:
        return
    if facts.fresh >= MANY_FRESH:
        reason = "many fresh classes are told apart by details; detection takes 1.6 times as long"
        yield ("model.image_size", [LARGE, LARGE], reason)
    elif facts.boxes >= CROWDED * facts.images:
        reason = "of many boxes an image many are small; detection takes 1.4 times as long"
        yield ("model.image_size", [MIDDLE, MIDDLE], reason)


def _epochs(facts: Facts) -> tuple[int, str]:
    """How many, and why: for more images fewer, since each has as many steps as it has images."""
    if not facts.fresh:
        return _fewer(8, facts), "known classes need few"
    per_class = _per_class(facts)
    if per_class >= MANY_BOXES:
        return _fewer(9, facts), f"{per_class:.0f} boxes a class teach much in each"
    if facts.fresh > 1 and per_class < FEW_BOXES:
        return _fewer(20, facts), f"{per_class:.0f} boxes a class are few to tell several apart"
    return _fewer(9, facts), "a fresh class takes some nine"


def _per_class(facts: Facts) -> float:
    return facts.boxes / (facts.known + facts.fresh)


def _fewer(epochs: int, facts: Facts) -> int:
    return max(math.ceil(epochs / 3), min(epochs, round(300 * epochs / facts.images)))
