"""Construction of the network, the loss and the post-processing from a configuration."""

from collections.abc import Sequence
from dataclasses import replace

from vision.config import LossConfig, ModelConfig
from vision.model.backbones import BACKBONES
from vision.model.layers import BlockStyle, Norm, initialise
from vision.model.loss import MultiBoxLoss
from vision.model.neck import FeaturePyramid, extra_layers
from vision.model.postprocess import PostProcess
from vision.model.priors import PriorLayout, priors_per_cell
from vision.model.ssdlite import Heads, SSDLite
from vision.model.variants import VARIANTS, Variant

PYRAMID_CHANNELS = 128
MIN_EXTRA_CHANNELS = 16


def build_model(config: ModelConfig, num_classes: int, norm: Norm = "batch") -> SSDLite:
    """Build the network that a configuration describes, with random weights."""
    variant = VARIANTS[config.preset]
    style = BlockStyle(
        norm, config.activation, variant.padding, variant.norm_eps, variant.norm_momentum
    )
    backbone = BACKBONES[config.backbone](0, config.width_mult, style, **variant.backbone)
    extra_channels = _extra_channels(variant, config.width_mult)
    channels = [*backbone.feature_channels, *(outputs for _, outputs in extra_channels)]
    extras = extra_layers(
        backbone.feature_channels[-1], extra_channels, style, linear=variant.linear_extras
    )
    neck = None
    if config.neck == "fpn":
        neck = FeaturePyramid(channels, PYRAMID_CHANNELS, style)
        initialise(neck)
        channels = [PYRAMID_CHANNELS] * len(channels)
    else:
        channels = channels[1:]  # Without a pyramid the map of stride 8 is not deep enough.
    layout = prior_layout(config)
    levels = (channels, priors_per_cell(len(channels), layout))
    biased, last_1x1 = variant.biased_depthwise, variant.last_head_1x1
    return SSDLite(
        backbone,
        extras,
        neck,
        Heads(*levels, num_classes + 1, style, biased_depthwise=biased, last_head_1x1=last_1x1),
        Heads(*levels, 4, style, biased_depthwise=biased, last_head_1x1=last_1x1),
        image_size=config.image_size,
        layout=layout,
        scores=config.score_function,
        pixels=variant.pixels,
    )


def prior_layout(config: ModelConfig) -> PriorLayout:
    """Return the layout of a configuration's priors."""
    return replace(VARIANTS[config.preset].layout, **config.priors.model_dump())


def _extra_channels(variant: Variant, width_mult: float) -> list[tuple[int, int]]:
    """Return the hidden and output channels of each extra layer."""
    mult = width_mult if variant.scale_all_channels else 1.0
    return [
        (max(int(hidden * mult), MIN_EXTRA_CHANNELS), max(int(outputs * mult), MIN_EXTRA_CHANNELS))
        for hidden, outputs in (
            (256, 512),
            (128, 256),
            (128, 256),
            (64, variant.last_extra_channels),
        )
    ]


def build_loss(
    config: LossConfig,
    model: SSDLite,
    image_size: tuple[int, int] | None = None,
    unlabelled_classes: Sequence[int] = (),
) -> MultiBoxLoss:
    """Build the loss for a network's priors, at its own image size or at ``image_size``.

    ``unlabelled_classes`` are labels of classes without a box in the training data.
    """
    priors = model.priors if image_size is None else model.priors_at(image_size)
    return MultiBoxLoss(
        priors, scores=model.scores, unlabelled_classes=unlabelled_classes, **config.model_dump()
    )


def build_post_process(config: ModelConfig) -> PostProcess:
    """Build the post-processing for a network of this configuration."""
    clip_before_nms = VARIANTS[config.preset].clip_before_nms
    return PostProcess(clip_before_nms=clip_before_nms, **config.postprocess.model_dump())
