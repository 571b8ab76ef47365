"""Detection in folders, videos and streams, as a resumable pipeline."""

from vision.choices import RESULTS
from vision.detection.coco_ids import CocoIds
from vision.detection.journal import Journal
from vision.detection.pipeline import ordered_map
from vision.detection.runner import detect_sources
from vision.detection.settings import (
    Report,
    Settings,
    check_complete,
    check_inputs_stay,
    check_results_stay,
)

__all__ = [
    "RESULTS",
    "CocoIds",
    "Journal",
    "Report",
    "Settings",
    "check_complete",
    "check_inputs_stay",
    "check_results_stay",
    "detect_sources",
    "ordered_map",
]
