"""Read the annotations that a configuration names, choose the classes, and summarise both."""

# H, W: height and width of an image

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
    """Read one or more data sources, and join their annotations.

    Args:
        sources: The sources in the configuration.
        key: Their configuration key, named in the message if there are none.
        strict: Refuse images and annotations that cannot be used, instead of listing them in
            ``faults``.

    Raises:
        ConfigError: If there are no sources.
        DataError: If a source cannot be read, or if ``strict`` is set and it has a fault.
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
    """Load up to ``count`` images, evenly spread over the data, at ``size`` (height, width).

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
    """Choose the classes to train: the configured ones, else those of the training data.

    A class without a box is left out, unless it is configured or the initial weights know it.

    Args:
        config: The data section; its ``classes`` may be None.
        annotations: The training data.
        known: The classes that the initial weights know.

    Returns:
        The classes in label order, and the classes left out because they have no box.

    Raises:
        DataError: If the data have no box, if all boxes are ignored or of other classes, or if a
            configured class has no box while another class has a similar name.
    """
    counts = annotations.count()
    left_out = list[str]()
    if config.classes is not None:
        names = config.classes
    else:
        names = [name for name in annotations.names if counts[name] or name in known]
        left_out = [name for name in annotations.names if name not in names]
    if not any(counts.values()):
        raise DataError("data.train: the images have no box, so there is no class to train")
    others = [name for name in counts if name not in names]
    for name in names:
        similar = [other for other in others if other.casefold() == name.casefold()]
        similar += difflib.get_close_matches(name, others, n=1, cutoff=0.8)
        if not counts[name] and similar:
            raise DataError(
                f"data.classes names {name!r}, which no training box has; did you mean"
                f" {similar[0]!r}?"
            )
    _check_flags(annotations, names)
    if not any(counts[name] for name in names):
        with_boxes = ", ".join(name for name, count in counts.items() if count)
        raise DataError(
            f"no training box has a class of data.classes ({', '.join(names)}); the classes of the"
            f" boxes are {with_boxes}"
        )
    return list(names), left_out


def count_unignored(records: Iterable[Record]) -> Counter[str]:
    """Count the boxes of each class that are not ignored."""
    return Counter(name for record in records for name in record.unignored_names())


def _check_flags(annotations: Annotations, names: Sequence[str]) -> None:
    """Refuse training data if all boxes of the classes are ignored: nothing could be learned.

    Raises:
        DataError: If all boxes are ignored; the message names the flag that says so.
    """
    counts, records = annotations.count(), annotations.records
    used = [name for name in names if counts[name]]
    if not used or not count_unignored(records).keys().isdisjoint(used):
        return
    flags = {
        flag for record in records for flag in zip(record.names, record.crowd.tolist(), strict=True)
    }
    flag = "iscrowd" if any((name, True) in flags for name in used) else "difficult (or ignore)"
    raise DataError(
        f"data.train: all {sum(counts[name] for name in used)} boxes of {listed(used)} are flagged"
        f" {flag}, so nothing would be learned; set the flag to 0 in the annotations if they are"
        " ordinary objects"
    )


def check_known(
    known: Sequence[str], config: DataConfig, annotations: Annotations, key: str
) -> None:
    """Check that a detector knows every class to be evaluated.

    Args:
        known: The detector's classes.
        config: The data section; its ``classes`` may be None, for all classes that have a box.
        annotations: The evaluation data.
        key: The configuration key of the data, for the message.

    Raises:
        DataError: If it does not know a class.
    """
    names, counts = config.classes, annotations.count()
    if names is None:
        names = [name for name in annotations.names if counts[name]]
    known = [nfc(name) for name in known]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise DataError(
            f"{key} has classes that the detector does not know: {listed(unknown)}; it knows"
            f" {listed(known)}; list the classes to evaluate in data.classes, or train it on these"
        )


def describe(annotations: Annotations, names: Sequence[str], key: str) -> list[str]:
    """Summarise annotations for people, as a list of lines."""
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
        lines.append(
            "  warning: classes whose boxes are all difficult or crowds, so none counts:"
            f" {', '.join(ignored_names)}"
        )
    others = {name: count for name, count in counts.items() if name not in names and count}
    if others:
        left_out = ", ".join(f"{name} {count}" for name, count in others.items())
        lines.append(
            f"  {counted(sum(others.values()), 'box')} of other classes left out: {left_out}"
        )
    return lines + [f"  {line}" for line in annotations.tally.lines()]


def irregularities(annotations: Annotations, names: Sequence[str]) -> dict[str, int]:
    """Number of boxes and images that were dropped, clipped or repaired, by kind.

    Args:
        annotations: The data.
        names: The classes in use; boxes of other classes are left out, and counted as a kind.
    """
    counts = annotations.count()
    others = sum(count for name, count in counts.items() if name not in names)
    kinds = dict(annotations.tally.counts)
    return kinds | ({"boxes of other classes left out": others} if others else {})
