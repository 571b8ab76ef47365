"""Checking a data set: reporting its faults as data and as a page, and repairing a copy."""

from vision.check.boxes import Priors
from vision.check.check import check_data
from vision.check.configured import (
    check_before_training,
    check_configured,
    named_findings,
    read_configured,
)
from vision.check.fixes import repair
from vision.check.images import Item, scan_data
from vision.check.page import render_page
from vision.check.quick import quick_warnings
from vision.check.report import CheckReport

__all__ = [
    "CheckReport",
    "Item",
    "Priors",
    "check_before_training",
    "check_configured",
    "check_data",
    "named_findings",
    "quick_warnings",
    "read_configured",
    "render_page",
    "repair",
    "scan_data",
]
