"""What can be told of data without reading an image, for a training that begins."""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from vision.check.classes import check_ignored, check_names
from vision.check.report import Place, find
from vision.errors import DataError
from vision.formats import Annotations


def quick_warnings(splits: Mapping[str, Annotations]) -> list[str]:
    """Classes and splits whose boxes are ignored, similar names and files that are listed twice.

    Raises:
        DataError: If all boxes of ``train`` are ignored.
    """
    ignored = check_ignored(splits)
    for finding in ignored:
        for place in finding.places:
            if place.split == "train" and finding.kind == "split whose boxes are all ignored":
                raise DataError(
                    f"all boxes of the training data are ignored ({place.detail}), so there is"
                    " nothing to learn; clear that flag where it is not meant"
                )
    findings = [
        *ignored,
        *find("similar class names", check_names(splits)),
        *find("file listed twice", _listed_twice(splits)),
    ]
    return [finding.line().replace("error:", "warning:", 1) for finding in findings]


def _listed_twice(splits: Mapping[str, Annotations]) -> Iterator[Place]:
    for split, annotations in splits.items():
        counts = Counter(record.image_id for record in annotations.records)
        for file, count in counts.items():
            if count > 1 and Path(file).is_file():
                yield Place(split, file, f"{count} times")
