"""Detection in folders, videos and streams, as a resumable pipeline."""

from vision.choices import FOLDERS, RESULTS
from vision.detection.coco_ids import CocoIds
from vision.detection.counting import describe, parse_region
from vision.detection.image_files import check_file_names
from vision.detection.journal import Journal
from vision.detection.pipeline import ordered_map
from vision.detection.runner import detect_sources
from vision.detection.settings import (
    Report,
    Settings,
    check_complete,
    check_folders_are_new,
    check_inputs_stay,
    check_results_stay,
)

__all__ = [
    "FOLDERS",
    "RESULTS",
    "CocoIds",
    "Journal",
    "Report",
    "Settings",
    "check_complete",
    "check_file_names",
    "check_folders_are_new",
    "check_inputs_stay",
    "check_results_stay",
    "describe",
    "detect_sources",
    "ordered_map",
    "parse_region",
]
