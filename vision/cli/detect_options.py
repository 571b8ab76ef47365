"""The options of ``ssdlite detect`` on the detector that it loads and the detections it keeps."""

import argparse
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from vision.choices import device_name
from vision.cli.detect_settings import split_words
from vision.detection import check_reachable
from vision.errors import ConfigError
from vision.extras import require_package
from vision.media import MediaInput
from vision.runtime import USUAL_SCORE, Score, read_names


def load_options(options: argparse.Namespace) -> dict[str, Any]:
    """The arguments of `Detector.load`, except ``streams``."""
    return {
        "weights": options.weights,
        "score": scores(options),
        "device": options.device,
        "backend": options.backend,
        "precision": options.precision,
        "threads": options.threads,
        "tiles": options.tiles,
        "postprocess": post_process(options),
    }


def post_process(options: argparse.Namespace) -> dict[str, Any]:
    """Keys of ``model.postprocess`` that the options set."""
    given = {
        "max_detections": options.max,
        "suppression": options.suppression,
        "class_agnostic": options.class_agnostic or None,
    }
    return {key: value for key, value in given.items() if value is not None}


def scores(options: argparse.Namespace) -> Score | Mapping[str, Score]:
    """Score thresholds from ``--score`` and ``--classes``."""
    default: Score = USUAL_SCORE
    by_name: dict[str, Score] = {}
    for text in options.score or []:
        name, _, value = text.rpartition("=")
        try:
            score: Score = "best" if value == "best" else float(value)
        except ValueError:
            raise ConfigError(f"--score {text}: expected a number, best, or CLASS=number") from None
        if name:
            by_name[name] = score
        else:
            default = score
    if options.classes:
        names = options.classes
        unused = [name for name in by_name if name not in names]
        if unused:
            raise ConfigError(f"--score {unused[0]}=...: --classes leaves {unused[0]} out")
        return {name: by_name.get(name, default) for name in names}
    return {"": default, **by_name} if by_name else default


def classes(options: argparse.Namespace) -> list[str] | None:
    """The class names in ``--classes``; each value is a class, or several separated by commas.

    A class of the detector may have a comma in its name. None without ``--classes``.
    """
    if options.classes is None:
        return None
    known = read_names(options.weights) if "," in "".join(options.classes) else []
    given = [[text] if text in known else split_words(text) for text in options.classes]
    if names := list(dict.fromkeys(itertools.chain.from_iterable(given))):
        return names
    raise ConfigError("--classes: expected names, found nothing")


def check_ray(options: argparse.Namespace, sources: Sequence[MediaInput]) -> None:
    """Make sure that the machines of ``--ray`` can do what the options ask for.

    Raises:
        ConfigError: If Ray is not installed, an input is not an image, ``--show`` is set, or the
            device has a number: each task sees only the GPU that Ray assigns to it.
        DataError: If nothing answers at the address of the cluster.
    """
    require_package("ray", "ray")
    if options.show:
        raise ConfigError("--show has no window on the machines of --ray; leave out one of them")
    if ":" in device_name(options.device or ""):
        raise ConfigError(
            f"--ray chooses the GPU of each task; name --device cuda, not {options.device}"
        )
    for source in sources:
        if source.kind != "image":
            raise ConfigError(
                f"--ray: input {source.name} is not an image; detect in it without --ray"
            )
    check_reachable(options.ray)
