"""Command lines for the evaluated detector and data, to paste into a terminal."""

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
"""Factor by which the images to try are larger, and the multiple that their sides round to."""
MINE = "MINE"
"""Placeholder for the folder of data that are not known here."""
ROOT = "data.val.root="


class Commands(NamedTuple):
    """Commands for the evaluated detector and data; None for a command that does not apply.

    Attributes:
        evaluate: Repeats the evaluation.
        train: Trains on the data.
        train_longer: Trains with more epochs; None if the epochs of the run are not known.
        train_larger: Trains with larger images.
        priors: Finds priors that fit the data.
        check: Checks the data.
        detect: Runs the detector with the best thresholds on photographs.
        few_epochs: The number of epochs of the run if it is below the recipe's, else None.
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
    """Compose the commands for a detector.

    Args:
        weights: The value of ``--weights``.
        data: The words of the command line that name the data, such as ``--data MINE``.
        run: The run folder with the weights, whose configuration also names data; None without.
        image_size: (height, width) of the images that the network gets.
        scores: The values of ``--score`` for detection, such as ``best`` or ``cat=0.5``.
    """
    configured = () if run is None else ("--config", str(run / "config.yaml"))
    out = () if run is None else ("--out", f"{run}_2")
    mine = ("--data", _folder(data))
    # A training cannot start from an exported graph, so it starts from its default weights.
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
    """The epochs of a run and the least for its number of images; 0 for an unknown number."""
    folder = RunFolder(run or Path(), resume=True)
    if run is None or not folder.config.is_file():
        return 0, 0
    epochs = load_config(folder.config).train.epochs
    try:
        noted = json.loads(folder.environment.read_bytes())
        return epochs, least_epochs(noted["images"]["train"])
    except (OSError, ValueError, KeyError, TypeError):  # An earlier version did not note them.
        return epochs, 0


def _folder(data: Sequence[str]) -> str:
    """The folder of data that the words of the command line name, or `MINE` if they do not."""
    after_option = (value for name, value in pairwise(data) if name == "--data")
    roots = (yaml.safe_load(word.removeprefix(ROOT)) for word in data if word.startswith(ROOT))
    return str(next(chain(after_option, roots), MINE))


def _line(*words: str) -> str:
    return shlex.join(("ssdlite", *words))
