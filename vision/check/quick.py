"""What can be told of data without decoding an image, for a training that begins."""

from collections.abc import Mapping

from vision.check.classes import check_ignored, check_names
from vision.check.report import Place, find
from vision.formats import Annotations


def quick_warnings(splits: Mapping[str, Annotations]) -> list[str]:
    """Files of two splits, ignored splits and classes, and names that may mean one class."""
    first: dict[str, str] = {}
    shared = [
        Place(split, record.image_id)
        for split, annotations in splits.items()
        for record in annotations.records
        if first.setdefault(record.image_id, split) != split
    ]
    findings = [
        *find("same image in two splits", shared),
        *check_ignored(splits),
        *find("similar class names", check_names(splits)),
    ]
    return [finding.line().replace("error:", "warning:", 1) for finding in findings]
