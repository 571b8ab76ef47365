"""Class names that VOC and COCO, or the data and a detector, spell differently."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from vision.config import DataConfig
from vision.formats import Annotations
from vision.formats.paths import nfc
from vision.weights.labels import canonical


def choose_key(*groups: Sequence[str]) -> Callable[[str], str]:
    """Return a function that maps all spellings of a class to the same key.

    If a group of names has two spellings, they are different classes, and the spelling counts.
    """
    for names in groups:
        if len({canonical(nfc(name)) for name in names}) < len(names):
            return nfc
    return lambda name: canonical(nfc(name))


def spell_like(
    known: Sequence[str], annotations: Annotations, config: DataConfig
) -> tuple[Annotations, DataConfig]:
    """Return the data and their section with the classes that a detector knows spelt as it does."""
    counts, classes = annotations.count(), config.classes
    key = choose_key(known, [name for name in counts if counts[name]], classes or ())
    spelt = {key(name): name for name in known}

    def spell(names: Sequence[str]) -> list[str]:
        return [spelt.get(key(name), name) for name in names]

    records = [replace(record, names=tuple(spell(record.names))) for record in annotations.records]
    names = list(dict.fromkeys(spell(annotations.names)))
    config = config.model_copy(update={"classes": None if classes is None else spell(classes)})
    return replace(annotations, records=records, names=names), config
