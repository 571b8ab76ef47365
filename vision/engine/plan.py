"""The plan of a run: its data, configuration and initial weights, before anything is written."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from vision.check import quick_warnings
from vision.config import Config, config_from_dict, load_config, merge
from vision.convert import load_initial_weights
from vision.data import (
    check_known,
    choose_classes,
    count_unignored,
    describe,
    irregularities,
    read_sources,
    settle_splits,
)
from vision.device import num_cores
from vision.engine.distributed import Processes
from vision.engine.priors import choose_priors
from vision.engine.recipe import Facts, apply_recipe
from vision.engine.run_folder import RunFolder
from vision.errors import ConfigError
from vision.formats import Annotations
from vision.model import BACKBONES
from vision.weights import SavedBackbone, SavedDetector, known_classes, load_weights, match_network

logger = logging.getLogger(__name__)

MIN_WORKERS = 2
"""Number of data-loading processes that are allowed on any machine."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The plan of a run, from which its parts are built.

    Attributes:
        config: The configuration, completed for the data and the weights.
        names: Class names in label order.
        annotations: The training data.
        val: The validation data, if there are any.
        unlabelled_classes: Labels of classes without a box in the training data.
        saved: The weights that the run starts from, if any.
    """

    config: Config
    names: list[str]
    annotations: Annotations
    val: Annotations | None = None
    unlabelled_classes: Sequence[int] = ()
    saved: SavedBackbone | SavedDetector | None = None

    def counts(self) -> dict[str, dict[str, Any]]:
        """Count the training boxes of each class, and each split's images and irregularities."""
        splits = {"train": self.annotations} | ({} if self.val is None else {"val": self.val})
        images = {split: len(data.records) for split, data in splits.items()}
        found = {split: irregularities(data, self.names) for split, data in splits.items()}
        return {"images": images, "boxes": dict(self.annotations.count()), "irregularities": found}


def make_plan(
    given: Config, folder: RunFolder, device: torch.device, processes: Processes, *, resume: bool
) -> Plan:
    """Read weights and data, and choose the values that the given configuration leaves open.

    A resumed run keeps the values that were chosen when it began.

    Raises:
        VisionError: A subclass, for a problem that the user can solve; nothing has been written.
    """
    is_resumed = resume and folder.has_checkpoints(processes)
    config, saved = _choose_network(given, folder, is_resumed=is_resumed)
    _check_freeze(config)
    earlier = load_config(folder.config).data if is_resumed and folder.config.is_file() else None
    config = config.model_copy(update={"data": settle_splits(config.data, earlier)})
    their_names = saved.names if isinstance(saved, SavedDetector) and _fits(config, saved) else []
    annotations, val, names = _read_data(config, their_names)
    counts = count_unignored(annotations.records)
    with_boxes = [name for name in names if counts[name]]
    num_images = len(annotations.records)
    lines = describe(annotations, names, "train")
    lines += ["val: none; last weights are best"] if val is None else describe(val, names, "val")
    if not is_resumed:
        known = len(known_classes(their_names, with_boxes))
        facts = Facts(
            images=num_images,
            boxes=sum(counts[name] for name in with_boxes),
            known=known,
            new=len(with_boxes) - known,
            cores=num_cores() if device.type == "cpu" else None,
            min_batch=2 * config.train.accumulate * processes.size,
        )
        config, chosen = apply_recipe(config, given, facts, fits=bool(their_names))
        lines += chosen
        if given.model.priors.fit:
            config, line = choose_priors(config, annotations, names, keeps=bool(their_names))
            lines.append(line)
    for line in lines:
        logger.info(line)
    config = _limit(config, num_images, processes)
    unlabelled_classes = [label for label, name in enumerate(names) if not counts[name]]
    return Plan(config, names, annotations, val, unlabelled_classes, saved)


def _choose_network(
    config: Config, folder: RunFolder, *, is_resumed: bool
) -> tuple[Config, SavedBackbone | SavedDetector | None]:
    """Return the configuration with the network to train, and the weights that it starts from."""
    if is_resumed:
        if folder.config.is_file():
            config = _fill_unset(config, load_config(folder.config))
        return config, load_weights(folder.start) if folder.start.is_file() else None
    if config.model.init is None:
        return config, None
    saved = load_initial_weights(config.model.init, config.model.backbone)
    model, warnings = match_network(config.model, saved)
    for line in warnings:
        logger.warning("warning: %s", line)
    config = config.model_copy(update={"model": model})
    config_from_dict(config.model_dump(mode="json"))  # Refuses keys that do not fit the network.
    return config, saved


def _check_freeze(config: Config) -> None:
    """Raise ConfigError if ``train.freeze`` exceeds the number of backbone layers."""
    with torch.device("meta"):
        num_layers = len(BACKBONES[config.model.backbone](num_classes=0).stages())
    if config.train.freeze > num_layers:
        raise ConfigError(
            f"train.freeze is {config.train.freeze}, but the backbone has {num_layers} layers"
        )


def _fill_unset(config: Config, earlier: Config) -> Config:
    """Take a run's earlier values for the keys that are not set, except those of ``data``."""
    values = earlier.model_dump(mode="json")
    given = config.model_dump(mode="json", exclude_unset=True)
    merge(values, {**given, "data": None})
    return config_from_dict(values | {"data": config.data.model_dump(mode="json")})


def _fits(config: Config, saved: SavedDetector) -> bool:
    """Whether the network to train has the same layers as the weights, and starts from them all."""
    ours, theirs = config.model, saved.config.model
    keys = ("backbone", "neck", "width_mult", "score_function")
    return ours.init_heads and all(getattr(ours, key) == getattr(theirs, key) for key in keys)


def _read_data(
    config: Config, their_names: Sequence[str]
) -> tuple[Annotations, Annotations | None, list[str]]:
    """Return training data, validation data and class names; the weights know ``their_names``."""
    annotations = read_sources(config.data.train, "data.train")
    val = None if config.data.val is None else read_sources(config.data.val, "data.val")
    known = known_classes(their_names, annotations.names)
    names, left_out = choose_classes(config.data, annotations, known)
    if left_out:
        logger.warning(
            "warning: classes without a box are left out (name them in data.classes to keep them):"
            " %s",
            ", ".join(left_out),
        )
    for line in quick_warnings({"train": annotations} | ({} if val is None else {"val": val})):
        logger.warning(line)
    if val is not None:
        check_known(names, config.data, val, "data.val")
    elif config.train.patience is not None:
        raise ConfigError(
            "train.patience counts evaluations, which need data.val; name it,"
            " or leave train.patience out"
        )
    return annotations, val, names


def _limit(config: Config, num_images: int, processes: Processes) -> Config:
    """Limit batches to the number of images, and workers to the number of processor cores."""
    settings = config.train
    max_batch = num_images // processes.size * processes.size
    if max_batch < 2 * settings.accumulate * processes.size:
        max_batch = settings.batch_size  # `build_run` refuses so few images.
    limits: Mapping[str, tuple[int, str]] = {
        "batch_size": (max_batch, "training images"),
        "workers": (max(MIN_WORKERS, num_cores()), "processor cores"),
    }
    values = {}
    for key, (limit, things) in limits.items():
        value = getattr(settings, key)
        if value > limit:
            values[key] = limit
            logger.info(
                "train.%s is %d: lowered to %d for the number of %s", key, value, limit, things
            )
    return config.model_copy(update={"train": settings.model_copy(update=values)})
