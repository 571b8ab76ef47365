"""Checks that need no decoded images, for the start of training."""

from collections.abc import Mapping

from vision.check.classes import check_ignored, check_names
from vision.check.report import Place, find
from vision.formats import Annotations


def quick_warnings(splits: Mapping[str, Annotations]) -> list[str]:
    """Warn of files in two splits, ignored splits and classes, and similar class names."""
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
