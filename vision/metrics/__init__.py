"""VOC's and COCO's metrics of detections in memory or in files, and their uncertainty."""

from vision.metrics.coco import CocoResult, coco_ap
from vision.metrics.files import read_coco_results
from vision.metrics.resampling import bootstrap, interval
from vision.metrics.results import Metrics, evaluate_detections
from vision.metrics.voc import VocResult, voc_ap

__all__ = [
    "CocoResult",
    "Metrics",
    "VocResult",
    "bootstrap",
    "coco_ap",
    "evaluate_detections",
    "interval",
    "read_coco_results",
    "voc_ap",
]
