"""Checks of classes: number of boxes, ignored boxes, and names that may mean the same class."""

import difflib
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations

from vision.check.report import Finding, Place, find
from vision.data import count_unignored
from vision.formats import Annotations, counted
from vision.metrics.results import MIN_BOXES
from vision.weights.labels import canonical

FEW_BOXES = 20
"""A class with fewer boxes in train is reported: a detector will hardly learn it."""
MAX_RATIO = 50
"""Minimum ratio of the most to the least frequent class in train that is reported."""
RARE = 0.05
"""A name spelt like another may be a typo if it has at most this fraction of the other's boxes."""
SPELT_ALIKE = 0.85
"""Minimum ratio of `difflib.SequenceMatcher` of such names."""
MIN_LETTERS = 4
"""Minimum length of such names, so that "car" and "cat" are not reported."""


def check_classes(
    splits: Mapping[str, Annotations], names: Sequence[str] | None = None
) -> list[Finding]:
    """Find faults of the classes.

    Args:
        splits: The data.
        names: The configured classes; None if none are configured.
    """
    counts = {split: +annotations.count() for split, annotations in splits.items()}
    train = counts.get("train", Counter())
    return [
        *find("no box to train", [Place("train")] if "train" in splits and not train else []),
        *check_ignored(splits),
        *find("val with few boxes", _few_to_validate(splits, names)),
        *find("similar class names", check_names(splits, names or ())),
        *find("class that train does not have", _unknown(counts, names)),
        *find("class that is left out", _left_out(counts, names)),
        *find("class without a box", _without_box(splits, counts, names)),
        *find(
            "class with few boxes",
            [
                Place("train", detail=f"{name} {count}")
                for name, count in train.items()
                if count < FEW_BOXES and (names is None or name in names)
            ],
        ),
        *find("class imbalance", _imbalance(train)),
    ]


def _few_to_validate(splits: Mapping[str, Annotations], names: Sequence[str] | None) -> list[Place]:
    """Find val if it has too few boxes of the classes that are not ignored."""
    if "val" not in splits:
        return []
    counts = count_unignored(splits["val"].records)
    number = sum(counts[name] for name in (counts if names is None else names))
    return [Place("val", detail=counted(number, "box"))] if number < MIN_BOXES else []


def check_ignored(splits: Mapping[str, Annotations]) -> list[Finding]:
    """Find splits, and classes in a split, of which all boxes are ignored."""
    whole, classes = list[Place](), list[Place]()
    for split, annotations in splits.items():
        total, crowds = +annotations.count(), Counter[str]()
        for record in annotations.records:
            total.subtract(record.unignored_names())
            crowds.update(
                name for name, crowd in zip(record.names, record.crowd, strict=True) if crowd
            )
        boxes = annotations.count()
        ignored = [name for name, count in total.items() if count == boxes[name]]
        if ignored and len(ignored) == len(+boxes):
            number = counted(sum(boxes.values()), "box")
            whole.append(Place(split, detail=f"{number}{_flags(boxes, crowds)}"))
        else:
            classes += [
                Place(
                    split,
                    detail=f"{name}, {counted(boxes[name], 'box')}{_flags(boxes, crowds, name)}",
                )
                for name in ignored
            ]
    return [
        *find("split whose boxes are all ignored", whole),
        *find("class whose boxes are all ignored", classes),
    ]


def _flags(boxes: Counter[str], crowds: Counter[str], *names: str) -> str:
    """How many of the ignored boxes have which flag, in words."""
    names = names or tuple(boxes)
    total, crowd = sum(boxes[name] for name in names), sum(crowds[name] for name in names)
    return f", {crowd} with iscrowd and {total - crowd} difficult"


def check_names(splits: Mapping[str, Annotations], names: Sequence[str] = ()) -> list[Place]:
    """Find pairs of class names that may mean the same class."""
    total = Counter[str]()
    for annotations in splits.values():
        total += annotations.count()
    letters = {name: _letters(name) for name in sorted({*total, *names})}
    places = []
    for one, other in combinations(letters, 2):
        rare, frequent = sorted((total[one], total[other]))
        reason = _alike(letters[one], letters[other], is_rare=rare <= RARE * frequent)
        if reason:
            where = [
                split
                for split, annotations in splits.items()
                if annotations.count()[one] or annotations.count()[other]
            ]
            detail = (
                f"{one!r} ({counted(total[one], 'box')}) and {other!r} ({total[other]}): {reason}"
            )
            places.append(Place(", ".join(where), detail=detail))
    return places


def _alike(first: str, second: str, *, is_rare: bool) -> str:
    """Why two names, given as `_letters`, may mean the same class; empty if there is no reason."""
    if first == second:
        return "they differ only in case, spaces or punctuation" if first else ""
    if canonical(first) == canonical(second):
        return "VOC and COCO use these names for the same class"
    if min(len(first), len(second)) < MIN_LETTERS:
        return ""
    if first.rstrip("s") == second.rstrip("s"):
        return "they are singular and plural"
    matcher = difflib.SequenceMatcher(None, first, second)
    ratios = (matcher.real_quick_ratio, matcher.quick_ratio, matcher.ratio)  # from fast to exact
    is_near = is_rare and all(ratio() >= SPELT_ALIKE for ratio in ratios)
    return "one may be misspelt" if is_near else ""


def _letters(name: str) -> str:
    """The letters and digits of a name, case-folded and in Unicode's form NFKC."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    return "".join(character for character in folded if character.isalnum())


def _unknown(counts: Mapping[str, Counter[str]], names: Sequence[str] | None) -> list[Place]:
    """Find classes of other splits that train lacks, if no classes are configured."""
    if names is not None or "train" not in counts:
        return []
    return [
        Place(split, detail=f"{name}, {counted(count, 'box')}")
        for split, others in counts.items()
        for name, count in others.items()
        if name not in counts["train"]
    ]


def _left_out(counts: Mapping[str, Counter[str]], names: Sequence[str] | None) -> list[Place]:
    return [
        Place(split, detail=f"{name}, {counted(count, 'box')}")
        for split, others in counts.items()
        for name, count in others.items()
        if names is not None and name not in names
    ]


def _without_box(
    splits: Mapping[str, Annotations],
    counts: Mapping[str, Counter[str]],
    names: Sequence[str] | None,
) -> list[Place]:
    """Find classes of train, or else configured classes, that have no box in a split."""
    expected = names
    if expected is None:
        expected = splits["train"].names if "train" in splits else []
    return [
        Place(split, detail=name)
        for split in counts
        for name in expected
        if not counts[split][name]
    ]


def _imbalance(train: Counter[str]) -> list[Place]:
    if not train:
        return []
    (most, many), (least, few) = train.most_common()[0], train.most_common()[-1]
    if many < MAX_RATIO * few:
        return []
    return [Place("train", detail=f"{most} has {counted(many, 'box')}, {least} {few}")]
