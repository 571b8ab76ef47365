"""The detector: network, priors, matching, loss and post-processing."""

from vision.model.backbones import BACKBONES, Backbone, MobileNetV2, MobileNetV3Large
from vision.model.build import build_loss, build_model, build_post_process, prior_layout
from vision.model.count import count_macs, count_parameters
from vision.model.loss import Assignment, Losses, MultiBoxLoss
from vision.model.matching import match
from vision.model.postprocess import PostProcess, class_scores, decode_predictions
from vision.model.prior_fitting import fit_scales
from vision.model.priors import PriorLayout, prior_boxes
from vision.model.ssdlite import SSDLite, fuse

__all__ = [
    "BACKBONES",
    "Assignment",
    "Backbone",
    "Losses",
    "MobileNetV2",
    "MobileNetV3Large",
    "MultiBoxLoss",
    "PostProcess",
    "PriorLayout",
    "SSDLite",
    "build_loss",
    "build_model",
    "build_post_process",
    "class_scores",
    "count_macs",
    "count_parameters",
    "decode_predictions",
    "fit_scales",
    "fuse",
    "match",
    "prior_boxes",
    "prior_layout",
]
