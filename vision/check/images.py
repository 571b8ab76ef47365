"""Checks of images: unreadable or unusual files, and duplicates."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from vision.check.report import Finding, Place, find
from vision.check.scan import UPRIGHT, Scan, scan_images
from vision.data.duplicates import duplicate_groups
from vision.formats import Annotations, Record

ORDER = ("test", "val", "train")
"""Priority of splits: of several splits that have an image, the first of these keeps it."""


class Item(NamedTuple):
    """An image of the data."""

    split: str
    record: Record
    scan: Scan


def scan_data(splits: Mapping[str, Annotations]) -> list[Item]:
    """Scan the images of all splits, each decoded once; sorted by `rank` of their split."""
    pairs = [
        (split, record) for split, annotations in splits.items() for record in annotations.records
    ]
    scans = scan_images([record for _, record in pairs])
    items = [Item(*pair, scan) for pair, scan in zip(pairs, scans, strict=True)]
    return sorted(items, key=lambda item: rank(item.split))


def rank(split: str) -> int:
    """The position of a split in `ORDER`; other splits come before these."""
    return ORDER.index(split) if split in ORDER else -1


def check_images(items: Sequence[Item]) -> list[Finding]:
    """Find faults of images, except those that the readers have already reported."""
    unreadable = [item for item in items if item.scan.error]
    truncated = [item for item in items if item.scan.is_truncated and not item.scan.error]
    turned = [item for item in items if item.scan.orientation != UPRIGHT]
    empty = [item for item in items if not item.record.names and not item.record.repaired]
    return [
        *find(
            "unreadable image",
            [
                _place(item, item.scan.error.removeprefix(f"image {item.record.image_id} "))
                for item in unreadable
            ],
        ),
        *find("images whose end is missing", map(_place, truncated)),
        *find(
            "image rotated by EXIF",
            [_place(item, f"orientation {item.scan.orientation}") for item in turned],
        ),
        *find("image without objects", map(_place, empty)),
        *_check_copies([item for item in items if not item.scan.error]),
    ]


def _place(item: Item, detail: str = "") -> Place:
    return Place(item.split, item.record.image_id, detail)


def _check_copies(items: Sequence[Item]) -> list[Finding]:
    """Find identical and near-identical images, within a split and between splits."""
    same, near = exact_groups(items), near_groups(items)
    listed = [pair for pair in _copies(same) if pair[0].record.image_id == pair[1].record.image_id]
    copied = [pair for pair in _copies(same) if pair[0].record.image_id != pair[1].record.image_id]
    leaks = list(_leaks(same))
    leaked = {id(item.record) for item, _ in leaks}
    unlike = [_distinct(group) for group in near]
    return [
        *find("file listed twice", map(_pair, listed)),
        *find("same image twice", map(_pair, copied)),
        *find("same image in two splits", map(_pair, leaks)),
        *find("near-identical images", map(_pair, _copies(unlike))),
        *find(
            "near-identical images in two splits",
            [_pair(pair) for pair in _leaks(near) if id(pair[0].record) not in leaked],
        ),
    ]


def exact_groups(items: Sequence[Item]) -> list[list[Item]]:
    """Groups of images whose files have the same content."""
    by_digest: dict[bytes, list[Item]] = {}
    for item in items:
        if item.scan.digest:
            by_digest.setdefault(item.scan.digest, []).append(item)
    return [group for group in by_digest.values() if len(group) > 1]


def near_groups(items: Sequence[Item]) -> list[list[Item]]:
    """Groups of images that show the same picture, including identical files."""
    readable = [(item, item.scan.pixels) for item in items if item.scan.pixels is not None]
    groups = duplicate_groups([pixels for _, pixels in readable])
    return [[readable[index][0] for index in group] for group in groups]


def _distinct(group: Sequence[Item]) -> list[Item]:
    """The images of a group without those that are identical to an earlier one in their split."""
    return list(
        {
            (item.split, item.scan.digest or id(item.record)): item for item in reversed(group)
        }.values()
    )[::-1]


def _copies(groups: Sequence[Sequence[Item]]) -> Iterator[tuple[Item, Item]]:
    """Yield each repeated image of a split, with the first image of its group in this split."""
    for group in groups:
        first: dict[str, Item] = {}
        for item in group:
            if item.split in first:
                yield item, first[item.split]
            first.setdefault(item.split, item)


def _leaks(groups: Sequence[Sequence[Item]]) -> Iterator[tuple[Item, Item]]:
    """Yield each image that an earlier split of `ORDER` has as well, with the one it has."""
    for group in groups:
        for item in group:
            if item.split != group[0].split:
                yield item, group[0]


def _pair(pair: tuple[Item, Item]) -> Place:
    item, other = pair
    return _place(item)._replace(other=(other.split, other.record.image_id))
