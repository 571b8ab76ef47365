"""What can be told of data without reading an image, for a training that begins."""

from collections.abc import Mapping

from vision.check.classes import check_ignored, check_names
from vision.check.report import find
from vision.formats import Annotations


def quick_warnings(splits: Mapping[str, Annotations]) -> list[str]:
    """Splits and classes whose boxes are all ignored, and names that may mean one class."""
    findings = [
        *check_ignored(splits),
        *find("similar class names", check_names(splits)),
    ]
    return [finding.line().replace("error:", "warning:", 1) for finding in findings]
