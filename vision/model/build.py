"""Parts of the model from a configuration."""

from vision.config import LossConfig, ModelConfig
from vision.model.layers import Norm
from vision.model.loss import MultiBoxLoss
from vision.model.postprocess import PostProcess
from vision.model.ssdlite import BACKBONES, SSDLite

__all__ = ["build_loss", "build_model", "build_post_process"]


def build_model(config: ModelConfig, num_classes: int, norm: Norm = "batch") -> SSDLite:
    """The network that a configuration describes, freshly initialised."""
    trunk = BACKBONES[config.name](config.width_mult, norm, config.activation)
    return SSDLite(
        trunk,
        num_classes,
        config.image_size,
        min_scale=config.priors.min_scale,
        max_scale=config.priors.max_scale,
        norm=norm,
        activation=config.activation,
    )


def build_loss(config: LossConfig, model: SSDLite) -> MultiBoxLoss:
    """The loss for a network's priors."""
    return MultiBoxLoss(model.priors, **config.model_dump())


def build_post_process(config: ModelConfig, model: SSDLite) -> PostProcess:
    """The post-processing for a network's priors."""
    return PostProcess(model.priors, **config.postprocess.model_dump())
