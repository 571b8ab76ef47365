"""What can be told of data without reading an image, for a training that begins."""

from collections.abc import Mapping

from vision.check.classes import check_ignored, check_names
from vision.check.report import find
from vision.errors import DataError
from vision.formats import Annotations


def quick_warnings(splits: Mapping[str, Annotations]) -> list[str]:
    """Classes and splits whose boxes are ignored, and similar names.

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
    ]
    return [finding.line().replace("error:", "warning:", 1) for finding in findings]
