"""Annotations and classes from a configuration, and a summary of both."""

# H and W the height and width of an image

import difflib
from collections import Counter
from collections.abc import Collection, Iterable, Sequence

from jaxtyping import UInt8
from numpy import ndarray

from vision.config import DataConfig, DataSource
from vision.errors import ConfigError, DataError, listed
from vision.formats import Annotations, Record, counted, read_data
from vision.formats.paths import nfc
from vision.images import resize


def read_sources(
    sources: DataSource | list[DataSource] | None, key: str, *, strict: bool = True
) -> Annotations:
    """Read one source or several, and join them.

    Args:
        sources: The configuration's sources.
        key: The configuration key that holds them, for the message if there are none.
        strict: Refuse images and annotations that cannot be used, rather than list them in
            ``faults``.

    Raises:
        ConfigError: If there are none.
        DataError: If one cannot be read, or has a fault and ``strict`` is set.
    """
    if not sources:
        raise ConfigError(
            f"{key} is missing; name the data with --data FOLDER, or"
            f" '{key}={{format: voc, root: VOC2007, split: {key.rpartition('.')[2]}}}'"
        )
    result = Annotations()
    for source in sources if isinstance(sources, list) else [sources]:
        result.add(read_data(source.format, **source.model_dump(exclude={"format"})))
    return result.check() if strict else result


def sample_images(
    sources: DataSource | list[DataSource] | None, key: str, count: int, size: tuple[int, int]
) -> list[UInt8[ndarray, "H W 3"]]:
    """Up to ``count`` images evenly spread over the data, resized to ``size`` (height, width).

    Raises:
        ConfigError: If there are no sources; the message names ``key``.
        DataError: If the data or an image cannot be read.
    """
    records = read_sources(sources, key).records
    step = max(1.0, len(records) / count)
    chosen = [records[int(row * step)] for row in range(min(count, len(records)))]
    return [resize(record.load(), size) for record in chosen]


def choose_classes(
    config: DataConfig, annotations: Annotations, known: Collection[str] = ()
) -> tuple[list[str], list[str]]:
    """The classes to train: those configured, else all classes of the data that have a box.

    A class without a box is kept if it is configured or the initial weights know it.

    Args:
        config: The data section; its ``classes`` may be None.
        annotations: The training data.
        known: Classes that the initial weights know.

    Returns:
        The classes in label order, and the classes left out because no box has them.

    Raises:
        DataError: If there is no class, no box has any of them or is not ignored, or a configured
            class has no box while a class of the data has a similar name.
    """
    counts = annotations.count()
    left_out = list[str]()
    if config.classes is not None:
        names = config.classes
    else:
        names = [name for name in annotations.names if counts[name] or name in known]
        left_out = [name for name in annotations.names if name not in names]
    if not any(counts.values()):
        raise DataError("the training data have no box, so there is no class to train")
    others = [name for name in counts if name not in names]
    for name in names:
        similar = [other for other in others if other.casefold() == name.casefold()]
        similar += difflib.get_close_matches(name, others, n=1, cutoff=0.8)
        if not counts[name] and similar:
            raise DataError(
                f"data.classes names {name!r}, which no training box has; did you mean"
                f" {similar[0]!r}?"
            )
    _check_flags(annotations)
    if not any(counts[name] for name in names):
        with_boxes = ", ".join(name for name, count in counts.items() if count)
        raise DataError(
            f"no training box has a name of data.classes ({', '.join(names)}); the data have"
            f" {with_boxes}"
        )
    return list(names), left_out


def count_unignored(records: Iterable[Record]) -> Counter[str]:
    """Boxes of each class that are not ignored."""
    return Counter(name for record in records for name in record.unignored_names())


def _check_flags(annotations: Annotations) -> None:
    """Refuse training data of which every box is ignored: training would learn nothing from them.

    Raises:
        DataError: If it is so; names the flag.
    """
    records = annotations.records
    total = sum(len(record.names) for record in records)
    if not total or count_unignored(records):
        return
    is_crowd = any(record.crowd.any() for record in records)
    flag = "iscrowd" if is_crowd else "difficult (or ignore)"
    raise DataError(
        f"data.train: all {total} boxes are flagged {flag}, so that none would be learned; set the"
        " flag to 0 in the annotations, if they are ordinary objects"
    )


def check_known(
    known: Sequence[str], config: DataConfig, annotations: Annotations, key: str
) -> None:
    """Check that the detector knows every class to be evaluated.

    Raises:
        DataError: If it does not know one.
    """
    names, counts = config.classes, annotations.count()
    if names is None:
        names = [name for name in annotations.names if counts[name]]
    known = [nfc(name) for name in known]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise DataError(
            f"{key} has classes that the detector does not know: {listed(unknown)}; it knows"
            f" {listed(known)}. Name the classes to keep with data.classes, or train it on these"
        )


def describe(annotations: Annotations, names: Sequence[str], key: str) -> list[str]:
    """A readable summary of annotations, in lines."""
    counts = annotations.count()
    total = sum(counts[name] for name in names)
    empty = sum(not set(record.names) & set(names) for record in annotations.records)
    unignored = count_unignored(annotations.records)
    ignored = total - sum(unignored[name] for name in names)
    lines = [
        f"{key}: {counted(len(annotations.records), 'image')}, {empty:,} of them without objects",
        f"  {counted(total, 'box')}, {ignored:,} of them difficult or crowds",
        "  " + ", ".join(f"{name} {counts[name]}" for name in names),
    ]
    absent = [name for name in names if not counts[name]]
    if absent:
        lines.append(f"  no boxes of: {', '.join(absent)}")
    ignored_names = [name for name in names if counts[name] and not unignored[name]]
    if ignored_names:
        listed = ", ".join(ignored_names)
        lines.append(f"  warning: all boxes are difficult or crowds, none counts, of: {listed}")
    others = {name: count for name, count in counts.items() if name not in names and count}
    if others:
        left_out = ", ".join(f"{name} {count}" for name, count in others.items())
        lines.append(
            f"  {counted(sum(others.values()), 'box')} of other classes left out: {left_out}"
        )
    return lines + [f"  {line}" for line in annotations.tally.lines()]


def irregularities(annotations: Annotations, names: Sequence[str]) -> dict[str, int]:
    """Number of boxes and images that were dropped, clipped or put right, by kind.

    Args:
        annotations: The data.
        names: The classes in use; boxes of others are left out.
    """
    counts = annotations.count()
    others = sum(count for name, count in counts.items() if name not in names)
    found = dict(annotations.tally.counts)
    return found | ({"boxes of other classes left out": others} if others else {})
