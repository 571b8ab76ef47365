"""The complete check of a data set."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from vision.check.boxes import Priors, check_boxes, check_priors
from vision.check.classes import check_classes
from vision.check.images import Item, check_images
from vision.check.kinds import LEVELS, TOLD_BY_RECORDS
from vision.check.report import CheckReport, Finding, Place, find
from vision.formats import Annotations, Record
from vision.formats.folders import files_in
from vision.images import IMAGE_SUFFIXES, OTHER_IMAGE_SUFFIXES


def check_data(
    splits: Mapping[str, Annotations],
    items: Sequence[Item],
    names: Sequence[str] | None = None,
    priors: Priors | None = None,
) -> CheckReport:
    """Check data that were read with their faults collected.

    Args:
        splits: The annotations of ``train``, ``val`` and other splits.
        items: Their images, from `scan_data`.
        names: The configured classes; None if none are configured.
        priors: Priors that the boxes of ``train`` are compared with; None skips this check.
    """
    faults, notes = _listed(splits)
    findings = [
        *faults,
        *check_images(items),
        *check_boxes(splits),
        *notes,  # last, since other findings say more about the same places
        *check_classes(splits, names),
    ]
    report = CheckReport(
        _summary(splits), _classes(splits), root=_folder_of([item.record for item in items])
    )
    if priors is not None and "train" in splits:
        report.boxes, unreached = check_priors(splits["train"], priors)
        findings += unreached
    report.findings = sorted(_joined(findings), key=lambda found: LEVELS.index(found.level))
    return report


def _listed(splits: Mapping[str, Annotations]) -> tuple[list[Finding], list[Finding]]:
    """Findings of the readers: faults, and irregularities that the records do not show."""
    faults: dict[str, list[Place]] = {}
    notes: dict[str, list[Place]] = {}
    for split, annotations in splits.items():
        for fault in annotations.faults:
            message = re.sub(
                rf"^(?:image |annotation )?{re.escape(fault.where)}[: ]*(\d+:)?",
                lambda match: f"line {match[1]}" if match[1] else "",
                fault.message,
            ).strip()
            faults.setdefault(fault.kind, []).append(Place(split, fault.where, message))
        for what, where in annotations.tally.places.items():
            if what not in TOLD_BY_RECORDS:
                notes.setdefault(what, []).extend(Place(split, place) for place in where)
    notes["image that no split lists"] = list(_unlisted(splits))
    return (
        [found for kind, places in faults.items() for found in find(kind, places, "error")],
        [found for kind, places in notes.items() for found in find(kind, places, "warning")],
    )


def _unlisted(splits: Mapping[str, Annotations]) -> Iterator[Place]:
    """Yield image files without an annotation, including formats that are not read."""
    files = {record.image_id for one in splits.values() for record in one.records}
    named = {fault.where for one in splits.values() for fault in one.faults}
    named |= {
        place for one in splits.values() for where in one.tally.places.values() for place in where
    }
    stems = {Path(place).stem for place in named}  # such as the image of an invalid XML file
    for folder in sorted({Path(file).parent for file in files if Path(file).is_file()}):
        for path in files_in(folder, IMAGE_SUFFIXES | OTHER_IMAGE_SUFFIXES):
            if str(path) not in files and path.stem not in stems:
                suffix = path.suffix.lower()
                is_read = suffix in IMAGE_SUFFIXES
                yield Place("", str(path), "" if is_read else f"{suffix} files are not read")


def _joined(findings: Sequence[Finding]) -> list[Finding]:
    """Merge the findings of each kind into one, which has each place once."""
    places: dict[str, list[Place]] = {}
    for finding in findings:
        known = places.setdefault(finding.kind, [])
        files = {(place.split, place.file) for place in known}
        known += [place for place in finding.places if (place.split, place.file) not in files]
    levels = {finding.kind: finding.level for finding in findings}
    return [found for kind in places for found in find(kind, places[kind], levels[kind])]


def _folder_of(records: Sequence[Record]) -> str:
    """The deepest folder that contains all image files, empty if there is none."""
    folders = {os.path.dirname(record.image_id) for record in records}  # noqa: PTH120 - faster
    with suppress(ValueError):  # There are several drives, or no images.
        return os.path.commonpath(folders)
    return ""


def _summary(splits: Mapping[str, Annotations]) -> dict[str, dict[str, int]]:
    return {
        split: {
            "images": len(annotations.records),
            "unusable": len(annotations.faults),
            "empty": sum(not record.names for record in annotations.records),
            "boxes": sum(len(record.names) for record in annotations.records),
            "ignored": sum(int(record.ignore.sum()) for record in annotations.records),
        }
        for split, annotations in splits.items()
    }


def _classes(splits: Mapping[str, Annotations]) -> dict[str, dict[str, int]]:
    """Number of boxes of each class by split, the most frequent class first."""
    counts = {split: annotations.count() for split, annotations in splits.items()}
    names = {
        name: sum(count[name] for count in counts.values())
        for count in counts.values()
        for name in count
    }
    return {
        name: {split: count[name] for split, count in counts.items()}
        for name in sorted(names, key=lambda name: (-names[name], name))
    }
