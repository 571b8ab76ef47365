"""Command lines that fit what is evaluated, for people to paste into a terminal."""

import json
import shlex
from collections.abc import Sequence
from itertools import chain, pairwise
from pathlib import Path
from typing import NamedTuple

import yaml

from vision.config import load_config
from vision.engine import RunFolder, least_epochs
from vision.runtime.load import graph_backend_of

LARGER, MULTIPLE = 1.5, 32
"""How many times as large the images to try are, and what their sides are multiples of."""
MINE = "MINE"
"""Stands for data that are not known here."""
ROOT = "data.val.root="


class Commands(NamedTuple):
    """Commands that fit what is evaluated; None where there is none.

    Attributes:
        evaluate: The evaluation itself.
        train: A training on its data.
        train_longer: The same with more epochs, if those of its run are known.
        train_larger: The same with larger images.
        priors: The priors that fit its data.
        check: A check of its data.
        detect: The detector with the best thresholds, on photographs.
        few_epochs: The epochs of its run, if they are too few to tell what else it lacks.
    """

    evaluate: str | None = None
    train: str | None = None
    train_longer: str | None = None
    train_larger: str | None = None
    priors: str | None = None
    check: str | None = None
    detect: str | None = None
    few_epochs: int | None = None


def commands_for(
    weights: str,
    data: Sequence[str],
    run: Path | None,
    image_size: tuple[int, int],
    scores: Sequence[str] = ("best",),
) -> Commands:
    """The commands for a detector.

    Args:
        weights: What follows ``--weights``.
        data: The words of the command line that name the data, such as ``--data MINE``.
        run: The run folder that the weights lie in; its configuration names data, too.
        image_size: (height, width) that the detector sees.
        scores: What follows each ``--score`` of a detection.
    """
    configured = () if run is None else ("--config", str(run / "config.yaml"))
    out = () if run is None else ("--out", f"{run}_2")
    mine = ("--data", _folder(data))
    # A training cannot start from an exported graph: it then starts from its recipe's weights.
    start = () if graph_backend_of(Path(weights)) else (f"model.init={weights}",)
    train = ("train", *(configured or (*mine, *start)), *out)
    sides = ", ".join(str(round(side * LARGER / MULTIPLE) * MULTIPLE) for side in image_size)
    is_named = any(word in {"--data", "--config"} for word in data)
    checked = tuple(data) if is_named else configured or mine
    words = (word for score in scores for word in ("--score", score))
    detect = ("detect", "photos/", "--weights", weights, *words)
    epochs, least = _epochs(run)
    return Commands(
        _line("eval", "--weights", weights, *data),
        _line(*train),
        _line(*train, f"train.epochs={max(least, 2 * epochs)}") if epochs else None,
        _line(*train, f"model.image_size=[{sides}]"),
        _line("priors", *(configured or mine)),
        _line("check", *checked, "--out", "check"),
        _line(*detect),
        epochs if epochs < least else None,
    )


def _epochs(run: Path | None) -> tuple[int, int]:
    """The epochs of a run, and the fewest that suit its images; 0 for what is not known."""
    folder = RunFolder(run or Path(), resume=True)
    if run is None or not folder.config.is_file():
        return 0, 0
    epochs = load_config(folder.config).train.epochs
    try:
        noted = json.loads(folder.environment.read_bytes())
        return epochs, least_epochs(noted["images"]["train"])
    except (OSError, ValueError, KeyError, TypeError):  # an earlier version did not note them
        return epochs, 0


def _folder(data: Sequence[str]) -> str:
    """The folder of the data that words of the command line name."""
    after_option = (value for name, value in pairwise(data) if name == "--data")
    roots = (yaml.safe_load(word.removeprefix(ROOT)) for word in data if word.startswith(ROOT))
    return str(next(chain(after_option, roots), MINE))


def _line(*words: str) -> str:
    return shlex.join(("ssdlite", *words))
