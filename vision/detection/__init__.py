"""Detection on folders, videos and streams: pipelined, resumable, reported."""

from vision.detection.journal import Journal
from vision.detection.pipeline import ordered_map
from vision.detection.results import RESULTS, CocoIds, entry_of, write_results
from vision.detection.run import Report, Settings, detect_sources

__all__ = [
    "RESULTS",
    "CocoIds",
    "Journal",
    "Report",
    "Settings",
    "detect_sources",
    "entry_of",
    "ordered_map",
    "write_results",
]
