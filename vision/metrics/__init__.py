"""VOC's and COCO's metrics of detections in memory or in files, and the analysis of errors."""

from vision.metrics.analysis import (
    Analysis,
    Mistake,
    Suspect,
    analyse,
)
from vision.metrics.coco import CocoResult, coco_ap
from vision.metrics.files import read_coco_results
from vision.metrics.resampling import bootstrap, interval
from vision.metrics.results import Metrics, evaluate_detections
from vision.metrics.voc import VocResult, voc_ap

__all__ = [
    "Analysis",
    "CocoResult",
    "Metrics",
    "Mistake",
    "Suspect",
    "VocResult",
    "analyse",
    "bootstrap",
    "coco_ap",
    "evaluate_detections",
    "interval",
    "read_coco_results",
    "voc_ap",
]
