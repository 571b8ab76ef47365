"""Data from a configuration: which classes there are, and what was read."""

import difflib
from collections.abc import Callable, Collection, Sequence

from jaxtyping import UInt8
from numpy import ndarray

from vision.config import DataConfig, Source
from vision.data.synthetic import read_synthetic
from vision.errors import ConfigError, DataError
from vision.formats.coco import read_coco
from vision.formats.records import Annotations, Record
from vision.formats.voc import read_voc
from vision.images import resize

__all__ = ["DATASETS", "check_known", "choose_classes", "describe", "read_sources", "sample_images"]

DATASETS: dict[str, Callable[..., Annotations]] = {
    "voc": read_voc,
    "coco": read_coco,
    "synthetic": read_synthetic,
}
"""Readers by ``format``; a source's other keys are the reader's arguments."""


def read_sources(sources: Source | list[Source] | None, key: str) -> Annotations:
    """Read one source or several, one after the other.

    Args:
        sources: Of the configuration.
        key: Where they stand there, for the message if there are none.

    Raises:
        ConfigError: If there are none.
        DataError: If one cannot be read.
    """
    if not sources:
        raise ConfigError(
            f"{key} is missing; name the data, such as"
            f" '{key}={{format: voc, root: VOC2007, split: {key.rpartition('.')[2]}}}'"
        )
    result = Annotations()
    for source in sources if isinstance(sources, list) else [sources]:
        result.add(DATASETS[source.format](**source.model_dump(exclude={"format"})))
    return result


def sample_images(
    sources: Source | list[Source] | None, key: str, count: int, size: tuple[int, int]
) -> list[UInt8[ndarray, "H W 3"]]:
    """Up to ``count`` images from all over the data, resized to ``size`` (height, width).

    Raises:
        ConfigError: If there are no sources; ``key`` says where they are missing.
        DataError: If the data or an image cannot be read.
    """
    records = read_sources(sources, key).records
    step = max(1.0, len(records) / count)
    chosen = [records[int(row * step)] for row in range(min(count, len(records)))]
    return [resize(record.read(), size) for record in chosen]


def choose_classes(
    config: DataConfig, found: Annotations, known: Collection[str] = ()
) -> tuple[list[str], list[str]]:
    """The classes to train: those configured, else all that were found and can be learnt.

    A class without a box teaches nothing. It is kept if it is configured or known already.

    Args:
        config: Names the classes, if the user did.
        found: The training data.
        known: Those of the names found that the weights know which training starts from.

    Returns:
        The classes in label order, and those that are left out for want of a box.

    Raises:
        DataError: If there is none, no box is of any, or a configured one is missing while another
            differs from it by its spelling alone.
    """
    counts = found.count()
    left_out = list[str]()
    if config.classes is not None:
        names = config.classes
    else:
        names = [name for name in found.names if counts[name] or name in known]
        left_out = [name for name in found.names if name not in names]
    if not names:
        raise DataError("the training data hold no box, so there is no class to learn")
    others = [name for name in counts if name not in names]
    for name in names:
        alike = difflib.get_close_matches(name, others, n=1, cutoff=0.8)
        folded = [other for other in others if other.casefold() == name.casefold()]
        if not counts[name] and (alike or folded):
            raise DataError(
                f"data.classes names {name!r}, which no training box bears; did you mean"
                f" {(folded or alike)[0]!r}?"
            )
    if not any(counts[name] for name in names):
        raise DataError(
            f"no training box bears a name of data.classes ({', '.join(names)}); the data have"
            f" {', '.join(counts) or 'no box at all'}"
        )
    return list(names), left_out


def check_known(known: Sequence[str], config: DataConfig, found: Annotations, key: str) -> None:
    """Make sure that every class to be evaluated is one that the detector knows.

    Raises:
        DataError: Naming the classes that it does not know.
    """
    wanted = config.classes
    counts = found.count()
    if wanted is None:
        wanted = [name for name in found.names if counts[name]]
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise DataError(
            f"{key} has classes that the detector does not know: {', '.join(unknown)}; it knows"
            f" {', '.join(known)}. Name with data.classes those to keep"
        )


def describe(found: Annotations, names: Sequence[str], key: str) -> list[str]:
    """What was read, in lines for a person."""
    counts = found.count()
    total = sum(counts[name] for name in names)
    empty = sum(not set(record.names) & set(names) for record in found.records)
    ignored = sum(int(_of(record, names)) for record in found.records)
    lines = [
        f"{key}: {len(found.records)} images, {empty} of them without objects",
        f"  {total} boxes, {ignored} of them difficult or crowds",
        "  " + ", ".join(f"{name} {counts[name]}" for name in names),
    ]
    absent = [name for name in names if not counts[name]]
    if absent:
        lines.append(f"  no boxes of: {', '.join(absent)}")
    others = {name: count for name, count in counts.items() if name not in names and count}
    if others:
        left_out = ", ".join(f"{name} {count}" for name, count in others.items())
        lines.append(f"  {sum(others.values())} boxes of other classes left out: {left_out}")
    return lines + [f"  {line}" for line in found.tally.lines()]


def _of(record: Record, names: Sequence[str]) -> int:
    return sum(
        bool(flag) for name, flag in zip(record.names, record.ignore, strict=True) if name in names
    )
