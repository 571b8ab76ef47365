"""``format: auto``: a folder in any supported layout, split by a seed if it has no ``val``."""

import logging

from vision.config import AutoSource, DataConfig, DataSource, DataSources, auto_sources
from vision.data.division import choose_val, read_undivided
from vision.errors import DataError
from vision.formats import Annotations, Tally, counted, read_data
from vision.formats.folders import Layout
from vision.formats.layout import find_layout

logger = logging.getLogger(__name__)


def read_auto(root: str, split: str, seed: int = 0, val_below: float | None = None) -> Annotations:
    """Read one split of a folder in any supported layout, and log which images were taken.

    Args:
        root: A folder or file that `vision.formats.layout.find_layout` accepts.
        split: ``train``, ``val`` or ``test``; ``all`` for every split of the folder.
        seed: Random seed for choosing validation images if the folder has no ``val``.
        val_below: See `choose_val`.

    Raises:
        DataError: If the layout is not recognised, has no such split, or cannot be read.
    """
    layout = find_layout(root)
    undivided = _undivided(layout)
    if split in {"train", "val"} and undivided is not None:
        return _read_part(root, layout, undivided, split, seed, val_below)
    names = list(layout.splits) if split == "all" else [split]
    if split != "all" and split not in layout.splits:
        have = " and ".join(layout.splits)
        raise DataError(f"{layout.reason} has {have}, but no {split}; set split to one that exists")
    result = Annotations()
    for name in names:
        result.add(read_data(layout.format, **layout.splits[name]))
    logger.info("%s: split %s of %s", split, " and ".join(names), layout.reason)
    return result


def settle_splits(data: DataConfig, earlier: DataConfig | None = None) -> DataConfig:
    """Return the data section with ``val_below`` set for each folder that is split by a seed.

    Args:
        data: The data section.
        earlier: The data section of the run that is resumed; its ``val_below`` values are kept.

    Raises:
        DataError: If a folder cannot be read.
    """
    earlier = earlier or DataConfig()
    recorded = auto_sources(earlier.train, earlier.val)
    kept = [source for source in recorded if source.val_below is not None]

    def settle(source: DataSource) -> DataSource:
        if not isinstance(source, AutoSource) or source.val_below is not None:
            return source
        for other in kept:
            if other.seed == source.seed and other.is_at(source.root):
                return source.model_copy(update={"val_below": other.val_below})
        layout = find_layout(source.root)
        undivided = _undivided(layout)
        if source.split not in {"train", "val"} or undivided is None:
            return source
        _, groups = read_undivided(layout, undivided, source.root)
        _, val_below = choose_val(groups, source.seed)
        return source.model_copy(update={"val_below": val_below})

    def settle_all(sources: DataSources | None) -> DataSources | None:
        if isinstance(sources, list):
            return [settle(source) for source in sources]
        return None if sources is None else settle(sources)

    return data.model_copy(update={"train": settle_all(data.train), "val": settle_all(data.val)})


def _undivided(layout: Layout) -> str | None:
    """The split to take ``val`` from; None if the folder has a ``val``, or only a ``test``."""
    names = [name for name in ("train", "all") if name in layout.splits]
    return names[0] if names and "val" not in layout.splits else None


def _read_part(
    root: str, layout: Layout, undivided: str, split: str, seed: int, val_below: float | None
) -> Annotations:
    """Read one side, ``train`` or ``val``, of images that are split by a seed."""
    whole, groups = read_undivided(layout, undivided, root)
    val_records, _ = choose_val(groups, seed, val_below)
    val = {record.image_id for record in val_records}
    records = [record for record in whole.records if (record.image_id in val) == (split == "val")]
    if not records:
        count = counted(len(whole.records), "image")
        raise DataError(f"{layout.reason} has {count}, too few to split into train and val")
    logger.info(
        "%s: %d of %d images of %s, split by seed %d as there is no val, near duplicates together",
        split,
        len(records),
        len(whole.records),
        layout.reason,
        seed,
    )
    tally = Tally()
    for what, places in whole.tally.places.items():
        for place in places:
            if (place in val) == (split == "val"):
                tally.note(what, place)
    # Leave out classes without a training box: the detector cannot learn them.
    trained = {
        name for record in whole.records if record.image_id not in val for name in record.names
    }
    names = [name for name in whole.names if name in trained] if split == "val" else whole.names
    return Annotations(records, names, tally, whole.faults)
