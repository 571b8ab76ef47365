"""The detector: network, priors, matching, loss and post-processing."""

from vision.model.backbones.base import Taps, Trunk
from vision.model.backbones.mobilenet_v2 import MobileNetV2
from vision.model.build import build_decoding, build_loss, build_model, build_post_process
from vision.model.count import count_macs, count_parameters
from vision.model.inference import DecodingNetwork
from vision.model.loss import Losses, MultiBoxLoss
from vision.model.matching import Matches, PaddedTargets, match, pad_targets
from vision.model.postprocess import Decode, PostProcess, PreNmsBoxes
from vision.model.priors import prior_boxes
from vision.model.ssdlite import ARCHITECTURES, SSDLite, fuse

__all__ = [
    "ARCHITECTURES",
    "Decode",
    "DecodingNetwork",
    "Losses",
    "Matches",
    "MobileNetV2",
    "MultiBoxLoss",
    "PaddedTargets",
    "PostProcess",
    "PreNmsBoxes",
    "SSDLite",
    "Taps",
    "Trunk",
    "build_decoding",
    "build_loss",
    "build_model",
    "build_post_process",
    "count_macs",
    "count_parameters",
    "fuse",
    "match",
    "pad_targets",
    "prior_boxes",
]
