"""What a run trains on and what it starts from, before anything is built or written."""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from vision.config import Config, config_from_dict, merge
from vision.convert import load_initial_weights
from vision.data import check_known, choose_classes, describe, read_sources
from vision.device import num_cores
from vision.engine.distributed import Processes
from vision.engine.recipe import Facts, choose_recipe
from vision.engine.run_folder import RunFolder
from vision.engine.state import States
from vision.errors import ConfigError
from vision.formats import Annotations
from vision.weights import SavedBackbone, SavedDetector, knows, load_weights, match_network

__all__ = ["Plan", "prepare"]

logger = logging.getLogger(__name__)

FEWEST_WORKERS = 2
"""Reading processes that any machine may have."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A run before it is built.

    Attributes:
        config: The configuration with all that was chosen for the data and the weights.
        names: Class names in label order.
        untaught: Labels of classes without a box in the training data.
        annotations: The training data.
        val: The validation data, if there are any.
        saved: The weights that the run starts from, if any.
    """

    config: Config
    names: list[str]
    untaught: list[int]
    annotations: Annotations
    val: Annotations | None
    saved: SavedBackbone | SavedDetector | None


def prepare(
    config: Config, folder: RunFolder, device: torch.device, processes: Processes, *, resume: bool
) -> Plan:
    """Read weights and data, and choose what the configuration leaves open.

    A resumed run keeps what was chosen when it began.

    Raises:
        VisionError: One of its children, for what a user can mend; nothing has been written.
    """
    given, is_resumed = config, resume and bool(States(folder.states).paths())
    config, saved = _network(config, folder, is_resumed=is_resumed)
    their_names = saved.names if isinstance(saved, SavedDetector) and _fits(config, saved) else []
    annotations = read_sources(config.data.train, "data.train")
    val = None if config.data.val is None else read_sources(config.data.val, "data.val")
    names, left_out = choose_classes(
        config.data, annotations, knows(their_names, annotations.names)
    )
    if left_out:
        logger.warning(
            "warning: classes without a box are left out (name them in data.classes to keep them):"
            " %s",
            ", ".join(left_out),
        )
    _check_val(config, names, val)
    lines = describe(annotations, names, "train")
    lines += describe(val, names, "val") if val is not None else ["val: none, so last is best"]
    taught = Counter(name for record in annotations.records for name in record.unignored_names())
    if config.train.recipe == "auto" and not is_resumed:
        learnt = [name for name in names if taught[name]]
        known = len(knows(their_names, learnt))
        facts = Facts(
            len(annotations.records),
            sum(taught[name] for name in learnt),
            known,
            len(learnt) - known,
            num_cores() if device.type == "cpu" else None,
            2 * config.train.accumulate * processes.size,
        )
        config, chosen = _with_recipe(config, given, facts, fits=bool(their_names))
        lines += chosen
    elif their_names and not is_resumed and "lr" not in given.optim.model_fields_set:
        lines.append(
            "train.recipe is fixed, its defaults are for a start from nothing; train.recipe=auto,"
            " as in configs/finetune.yaml, chooses what suits a start from weights"
        )
    for line in lines:
        logger.info(line)
    config = _capped(config, len(annotations.records), processes)
    untaught = [label for label, name in enumerate(names) if not taught[name]]
    return Plan(config, names, untaught, annotations, val, saved)


def _fits(config: Config, saved: SavedDetector) -> bool:
    """Whether the layers of the weights are those of the network that trains."""
    ours, theirs = config.model, saved.config.model
    keys = ("backbone", "neck", "width_mult")
    return all(getattr(ours, key) == getattr(theirs, key) for key in keys)


def _with_recipe(
    config: Config, given: Config, facts: Facts, *, fits: bool
) -> tuple[Config, list[str]]:
    """The configuration with its recipe, if the network starts from a detector's weights."""
    if fits:
        return choose_recipe(config, given, facts)
    line = (
        "train.recipe=auto chooses for a start from a detector's weights, and there are none that"
        " fit: what is not set has its defaults, for a start from nothing"
    )
    return config, [line]


def _network(
    config: Config, folder: RunFolder, *, is_resumed: bool
) -> tuple[Config, SavedBackbone | SavedDetector | None]:
    """The configuration of the network that trains, and the weights that it starts from."""
    if is_resumed:
        earlier = folder.read_config()
        config = config if earlier is None else _fill_unset(config, earlier)
        return config, load_weights(folder.start) if folder.start.is_file() else None
    if config.model.init is None:
        return config, None
    saved = load_initial_weights(config.model.init, config.model.backbone)
    model, warnings = match_network(config.model, saved)
    for line in warnings:
        logger.warning("warning: %s", line)
    return config.model_copy(update={"model": model}), saved


def _check_val(config: Config, names: Sequence[str], val: Annotations | None) -> None:
    if val is not None:
        check_known(names, config.data, val, "data.val")
    elif config.train.patience is not None:
        raise ConfigError(
            "train.patience counts evaluations, and there are none without data.val; name one,"
            " or leave train.patience out"
        )


def _capped(config: Config, num_images: int, processes: Processes) -> Config:
    """No larger batches than there are images, and no more workers than processor cores."""
    settings = config.train
    values = {}
    whole = num_images // processes.size * processes.size
    if settings.batch_size > whole >= 2 * settings.accumulate * processes.size:
        values["batch_size"] = whole
    most = max(FEWEST_WORKERS, num_cores())
    if settings.workers > most:
        values["workers"] = most
    for key, value in values.items():
        there = "training images" if key == "batch_size" else "processor cores"
        logger.info(
            "train.%s is %d: lowered to %d, as there are no more %s",
            key,
            getattr(settings, key),
            value,
            there,
        )
    return config.model_copy(update={"train": settings.model_copy(update=values)})


def _fill_unset(config: Config, earlier: Config) -> Config:
    """A configuration whose keys that a user did not set are those that a run began with.

    The data are the user's: of them nothing is chosen.
    """
    values = earlier.model_dump(mode="json")
    given = config.model_dump(mode="json", exclude_unset=True)
    merge(values, {**given, "data": None})
    return config_from_dict(values | {"data": config.data.model_dump(mode="json")})
