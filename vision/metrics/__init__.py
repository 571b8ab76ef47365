"""How good detections are: VOC's and COCO's average precision, from memory or from files.

And how sure it is.
"""

from vision.metrics.bootstrap import bootstrap, interval
from vision.metrics.coco import CocoResult, coco_ap
from vision.metrics.files import read_coco_results
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
