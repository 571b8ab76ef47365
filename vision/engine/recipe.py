"""``train.recipe=auto``: what a user has not set, chosen for the data and the weights."""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple, TypeAlias

from vision.config import Config, config_from_dict

MANY_NEW = 4
"""New classes from which on they are assumed to differ in details, and images are large."""
LARGE, MIDDLE = 384, 352
"""Image sides for those, and for crowded images."""
CROWDED = 5
"""Boxes per image from which on many are small, and a crop keeps most of them."""
FEW_BOXES = 200
"""Boxes per class below which several new ones take more epochs."""
MANY_BOXES = 500
"""Boxes per class from which on all layers may change alike."""
NEW_EPOCHS = 9
"""Epochs for new classes."""
THOUSANDS = 3000
"""Images from which on many new classes are learnt better by task-aligned assignment."""
SHORT = 10
"""Epochs up to which evaluations before the last one are not worth their time."""
FEW_CORES = 2
"""Cores up to which reading processes would slow down the network."""
ADAMW_KEYS = frozenset({"optim.lr", "optim.weight_decay"})
"""Keys whose values suit no other optimiser."""
ALIGNED = {"assignment": "tal", "classification": "quality", "localisation": "giou"}
"""Task-aligned assignment and its losses, which go together."""
Choice: TypeAlias = tuple[str, Any, str]
"""A key, its value and the reason for it."""


class Facts(NamedTuple):
    """What a recipe is chosen by.

    Attributes:
        images: Training images.
        boxes: Training boxes that are not ignored.
        known: Number of classes with boxes that the weights know.
        new: Number of classes with boxes that they do not know.
        cores: Processor cores to train on; None on another device.
        min_batch: Smallest number of images in a step: two for each part of it in each process.
    """

    images: int
    boxes: int
    known: int
    new: int
    cores: int | None = None
    min_batch: int = 2

    @property
    def boxes_per_class(self) -> float:
        """Mean number of boxes of a class."""
        return self.boxes / (self.known + self.new)


def apply_recipe(
    config: Config, given: Config, facts: Facts, *, fits: bool
) -> tuple[Config, list[str]]:
    """The configuration with the recipe applied, if ``train.recipe`` asks for it, and its lines.

    ``fits`` tells whether the network starts from the weights of a detector with its layers.
    """
    line = ""
    if config.train.recipe == "auto":
        if fits:
            return choose_recipe(config, given, facts)
        line = (
            "train.recipe=auto needs a detector's weights with the layers of this network to start"
            " from: keys that are not set have their defaults, for training from scratch"
        )
    elif fits and "lr" not in given.optim.model_fields_set:
        line = (
            "train.recipe=fixed has defaults for training from scratch; train.recipe=auto, as in"
            " configs/finetune.yaml, chooses values for a start from weights"
        )
    return config, [line] if line else []


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
    kind = "known" if not facts.new else f"{facts.new} new of {facts.new + facts.known}"
    lines = [f"recipe for {facts.images} images, {facts.boxes} boxes, classes: {kind}"]
    is_sgd = "name" in given.optim.model_fields_set and given.optim.name != "adamw"
    for key, value, reason in _choices(config, given, facts):
        section, name = key.split(".")
        is_set = name in getattr(given, section).model_fields_set
        if not is_set and not (is_sgd and key in ADAMW_KEYS):
            values[section][name] = value
            lines.append(f"  {key}={value}: {reason}")
    return config_from_dict(values), lines


def _choices(config: Config, given: Config, facts: Facts) -> Iterator[Choice]:
    yield from _choices_for_classes(config, facts)
    yield from _choices_for_loss(config, given, facts)
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
    yield ("train.ema_decay", decay, f"suits a run of about {steps} steps")
    if config.data.val is not None and config.train.patience is None:
        every = epochs if epochs <= SHORT else math.ceil(epochs / 2)
        yield ("train.eval_every", every, "beside the start, the end matters most")
    yield ("optim.name", "adamw", "learns more than SGD in as few steps")
    yield ("optim.weight_decay", 0.05, "suits AdamW")
    yield ("optim.warmup_epochs", 0.5, "the averages of AdamW and the heads settle")
    if facts.boxes >= CROWDED * facts.images:
        yield ("augment.preset", "ssdlite", "of many boxes per image crops leave most")
    else:
        yield ("augment.preset", "photometric", "crops would cost some of the few boxes")
    if facts.cores is not None and facts.cores <= FEW_CORES:
        yield ("train.workers", 0, "reading processes would take cores from the network")


def _choices_for_loss(config: Config, given: Config, facts: Facts) -> Iterator[Choice]:
    """Task-aligned assignment, where it has been better, can be used, and no loss is set."""
    is_many = facts.new >= MANY_NEW and facts.images >= THOUSANDS
    is_possible = config.model.score_function == "sigmoid" and config.train.accumulate == 1
    if is_many and is_possible and not given.loss.model_fields_set & ALIGNED.keys():
        for key, value in ALIGNED.items():
            yield (f"loss.{key}", value, "of thousands of images it learns many classes better")


def _choices_for_classes(config: Config, facts: Facts) -> Iterator[Choice]:
    """What depends on how much of the classes the weights know."""
    if not facts.new:
        yield ("optim.lr", 2e-4, "classes that the weights know need small steps")
        yield ("train.freeze", 8, "the first layers need no change")
        yield ("train.freeze_norms", True, "few images give poor statistics")
    elif facts.new == 1:
        yield ("optim.lr", 8e-4, "one new class")
        yield ("train.freeze", 8, "the first layers need no change")
    else:
        yield ("optim.lr", 1e-3, "several new classes must be told apart")
        yield ("train.freeze", 3, "data unlike the weights' need more layers")
    if facts.new and facts.boxes_per_class < MANY_BOXES:
        yield ("optim.layer_decay", 0.85, "the first layers change least")
    if facts.new <= 1 and config.data.val is not None:
        fractions = [0.5, 0.8] if facts.new else [0.2, 0.5, 0.8]
        yield ("train.interpolation", fractions, "means with the start may be better; val decides")
    if not facts.new or config.model.has_fixed_priors:
        return
    if facts.new >= MANY_NEW:
        reason = "many new classes differ in details; detection takes 1.6 times as long"
        yield ("model.image_size", [LARGE, LARGE], reason)
    elif facts.boxes >= CROWDED * facts.images:
        reason = "of many boxes per image many are small; detection takes 1.4 times as long"
        yield ("model.image_size", [MIDDLE, MIDDLE], reason)


def _epochs(facts: Facts) -> tuple[int, str]:
    """The number of epochs and why: fewer for more images, which make more steps an epoch."""
    if not facts.new:
        return least_epochs(facts.images), "known classes need few"
    if facts.new == 1:
        reason = "a new class takes about nine, of many images fewer"
        return _fewer(NEW_EPOCHS, facts.images), reason
    if facts.boxes_per_class < FEW_BOXES:
        reason = f"{facts.boxes_per_class:.0f} boxes per class are few to tell several apart"
        return max(NEW_EPOCHS, _fewer(20, facts.images)), reason
    return NEW_EPOCHS, "several new classes take about nine, of thousands of images too"


def least_epochs(images: int) -> int:
    """The fewest epochs that a recipe chooses for a number of training images."""
    return _fewer(8, images)


def _fewer(epochs: int, images: int) -> int:
    return max(math.ceil(epochs / 3), min(epochs, round(300 * epochs / images)))
