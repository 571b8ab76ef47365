"""Detection on folders, videos and streams: pipelined, resumable, reported."""

from vision.detection.journal import Journal
from vision.detection.pipeline import in_order
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
    "in_order",
    "write_results",
]
