"""Parts of the model from a configuration."""

from collections.abc import Sequence

from vision.config import LossConfig, ModelConfig
from vision.model.inference import DecodingNetwork
from vision.model.layers import BlockStyle, Norm
from vision.model.loss import MultiBoxLoss
from vision.model.postprocess import Decode, PostProcess
from vision.model.ssdlite import ARCHITECTURES, SSDLite
from vision.model.variants import PRESETS

__all__ = ["build_decoding", "build_loss", "build_model", "build_post_process"]


def build_model(config: ModelConfig, num_classes: int, norm: Norm = "batch") -> SSDLite:
    """The network that a configuration describes, freshly initialised."""
    style = BlockStyle(norm, config.activation, PRESETS[config.preset])
    architecture = ARCHITECTURES[config.name]
    return SSDLite(
        architecture.trunk(config.width_mult, style),
        num_classes,
        config.image_size,
        min_scale=config.priors.min_scale,
        max_scale=config.priors.max_scale,
        style=style,
        width_mult=config.width_mult,
        pyramid=architecture.pyramid,
    )


def build_loss(
    config: LossConfig,
    model: SSDLite,
    image_size: tuple[int, int] | None = None,
    untaught: Sequence[int] = (),
) -> MultiBoxLoss:
    """The loss for a network's priors, at its own image size or another.

    ``untaught`` are labels of classes without a box in the training data.
    """
    priors = model.priors if image_size is None else model.priors_at(image_size)
    return MultiBoxLoss(
        priors, scores=model.preset.scores, untaught=untaught, **config.model_dump()
    )


def build_decoding(model: SSDLite) -> DecodingNetwork:
    """A copy of a network for inference that gives boxes and scores."""
    return DecodingNetwork(model, Decode(model.priors, model.preset.scores))


def build_post_process(config: ModelConfig) -> PostProcess:
    """The post-processing of what a network of this configuration gives."""
    clip_before_nms = PRESETS[config.preset].cuts_first
    return PostProcess(clip_before_nms=clip_before_nms, **config.postprocess.model_dump())
