"""``train.recipe=auto``: values for keys that are not set, chosen for the data and the weights."""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple, TypeAlias

from vision.config import Config, config_from_dict

MANY_NEW = 4
"""Minimum number of new classes that are assumed to differ in details, so that images are large."""
LARGE, MIDDLE = 384, 352
"""Image sides for many new classes, and for crowded images."""
CROWDED = 5
"""Mean number of boxes per image from which many boxes are small and a crop keeps most of them."""
FEW_BOXES = 200
"""Boxes per class below which several new classes need more epochs."""
MANY_BOXES = 500
"""Boxes per class from which all layers have the same learning rate."""
NEW_EPOCHS = 9
"""Epochs for new classes."""
SHORT = 10
"""Maximum number of epochs of a run that is evaluated only after the last epoch."""
FEW_CORES = 2
"""Maximum number of cores on which data-loading processes would slow down the network."""
ADAMW_KEYS = frozenset({"optim.lr", "optim.weight_decay"})
"""Keys whose values are only chosen for AdamW."""
ALIGNED = {"assignment": "tal", "classification": "quality", "localisation": "giou"}
"""Task-aligned assignment and its losses, which are set together."""
Choice: TypeAlias = tuple[str, Any, str]
"""A key, its value and the reason for it."""


class Facts(NamedTuple):
    """The facts about data, weights and machine from which a recipe is chosen.

    Attributes:
        images: Number of training images.
        boxes: Number of training boxes that are not ignored.
        known: Number of classes with boxes that the weights know.
        new: Number of classes with boxes that the weights do not know.
        cores: Number of processor cores when training on the CPU; None on another device.
        min_batch: Minimum number of images in a step: two for each part in each process.
    """

    images: int
    boxes: int
    known: int
    new: int
    cores: int | None = None
    min_batch: int = 2

    @property
    def boxes_per_class(self) -> float:
        """Mean number of boxes per class."""
        return self.boxes / (self.known + self.new)


def apply_recipe(
    config: Config, given: Config, facts: Facts, *, fits: bool
) -> tuple[Config, list[str]]:
    """Return the configuration, with the recipe for ``train.recipe=auto``, and lines for the log.

    ``fits`` tells whether training starts from a detector's weights with this network's layers.
    """
    line = ""
    if config.train.recipe == "auto":
        if fits:
            return choose_recipe(config, given, facts)
        line = (
            "train.recipe=auto needs a detector's weights with the layers of this network to start"
            " from: keys that are not set keep their defaults, which are for training from scratch"
        )
    elif fits and "lr" not in given.optim.model_fields_set:
        line = (
            "train.recipe=fixed uses defaults for training from scratch; to fine-tune weights, set"
            " train.recipe=auto, as in configs/finetune.yaml"
        )
    return config, [line] if line else []


def choose_recipe(config: Config, given: Config, facts: Facts) -> tuple[Config, list[str]]:
    """Choose values for the keys that the user has not set; return a line with each reason too.

    The values performed best over several data sets and two seeds, with AdamW; the tables are in
    docs/experiments.md.

    Args:
        config: The configuration so far, with the network of the weights.
        given: The user's configuration; ``model_fields_set`` of its sections tells what was set.
        facts: The facts to choose from.
    """
    values = config.model_dump(mode="json")
    kind = "all known" if not facts.new else f"{facts.new} new of {facts.new + facts.known}"
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
    yield ("train.batch_size", batch, "small batches give more steps per epoch")
    epochs = given.train.epochs if "epochs" in is_set else epochs
    batch = given.train.batch_size if "batch_size" in is_set else batch
    steps = epochs * max(1, facts.images // batch)
    decay = 0.98 if steps < 1000 else 0.995
    yield ("train.ema_decay", decay, f"suits a run of about {steps} steps")
    if config.data.val is not None and config.train.patience is None:
        every = epochs if epochs <= SHORT else math.ceil(epochs / 2)
        yield ("train.eval_every", every, "evaluations take time, and the last one matters most")
    yield ("optim.name", "adamw", "learns more than SGD in a short run")
    yield ("optim.weight_decay", 0.05, "suits AdamW")
    yield ("optim.warmup_epochs", 0.5, "lets AdamW's running averages and the heads settle")
    if facts.boxes >= CROWDED * facts.images:
        yield ("augment.preset", "ssdlite", "images have many boxes, and crops keep most of them")
    else:
        yield ("augment.preset", "photometric", "images have few boxes, and crops would lose some")
    if facts.cores is not None and facts.cores <= FEW_CORES:
        yield ("train.workers", 0, "data-loading processes would take CPU time from the network")


def _choices_for_loss(config: Config, given: Config, facts: Facts) -> Iterator[Choice]:
    """Choose task-aligned assignment if it measured better, is possible, and no loss is set."""
    is_possible = config.model.score_function == "sigmoid" and config.train.accumulate == 1
    is_set = given.loss.model_fields_set & ALIGNED.keys()
    if facts.new >= MANY_NEW and is_possible and not is_set:
        for key, value in ALIGNED.items():
            yield (f"loss.{key}", value, "learns many new classes better")


def _choices_for_classes(config: Config, facts: Facts) -> Iterator[Choice]:
    """Choose values that depend on the number of classes that the weights do not know."""
    if not facts.new:
        yield ("optim.lr", 2e-4, "the weights know all classes, so small steps are enough")
        yield ("train.freeze", 8, "the first layers need no change")
        yield ("train.freeze_norms", True, "the weights' statistics suit known classes")
    elif facts.new == 1:
        yield ("optim.lr", 8e-4, "a new class needs larger steps than known ones")
        yield ("train.freeze", 8, "the first layers need no change")
    else:
        yield ("optim.lr", 1e-3, "telling several new classes apart needs larger steps")
        yield ("train.freeze", 3, "several new classes need more layers to change")
    if facts.new and facts.boxes_per_class < MANY_BOXES:
        yield ("optim.layer_decay", 0.85, "earlier layers need less change than later ones")
    if facts.new <= 1 and config.data.val is not None:
        fractions = [0.5, 0.8] if facts.new else [0.2, 0.5, 0.8]
        reason = "means of first and last weights may be better; data.val decides"
        yield ("train.interpolation", fractions, reason)
    if not facts.new or config.model.has_fixed_priors:
        return
    if facts.new >= MANY_NEW:
        reason = "many new classes differ in small details; detection takes 1.6 times as long"
        yield ("model.image_size", [LARGE, LARGE], reason)
    elif facts.boxes >= CROWDED * facts.images:
        reason = "crowded images have many small boxes; detection takes 1.4 times as long"
        yield ("model.image_size", [MIDDLE, MIDDLE], reason)


def _epochs(facts: Facts) -> tuple[int, str]:
    """Return the number of epochs and the reason: more images need fewer, as epochs are longer."""
    if not facts.new:
        return least_epochs(facts.images), "the weights know all classes, so few are enough"
    if facts.new == 1:
        reason = "one new class needs about nine, fewer if there are many images"
        return _fewer(NEW_EPOCHS, facts.images), reason
    if facts.boxes_per_class < FEW_BOXES:
        reason = f"only {facts.boxes_per_class:.0f} boxes per class to tell several new ones apart"
        return max(NEW_EPOCHS, _fewer(20, facts.images)), reason
    return NEW_EPOCHS, "several new classes need about nine, even with thousands of images"


def least_epochs(images: int) -> int:
    """Return the fewest epochs that a recipe chooses for a number of training images."""
    return _fewer(8, images)


def _fewer(epochs: int, images: int) -> int:
    return max(math.ceil(epochs / 3), min(epochs, round(300 * epochs / images)))
