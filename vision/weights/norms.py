"""New running statistics for BatchNorm that leave the network's outputs unchanged."""

# C channels, H W height and width of an image

from collections.abc import Iterable

import torch
from jaxtyping import Shaped
from torch import Tensor, nn

from vision.model.ssdlite import SSDLite


class _Moments:
    """Mean and variance of each channel over all batches."""

    def __init__(self) -> None:
        self.count = 0
        self.sums: tuple[Tensor, Tensor] | None = None

    def add(self, features: Tensor) -> None:
        values = features.double()
        new = values.sum((0, 2, 3)), values.square().sum((0, 2, 3))
        old = self.sums or (torch.zeros_like(new[0]), torch.zeros_like(new[1]))
        self.sums = old[0] + new[0], old[1] + new[1]
        self.count += features.numel() // features.shape[1]

    def mean_and_variance(self) -> tuple[Tensor, Tensor]:
        assert self.sums is not None
        mean = self.sums[0] / self.count
        return mean, (self.sums[1] / self.count - mean.square()).clamp(min=0)


@torch.no_grad()
def refit_norms(model: SSDLite, batches: Iterable[Shaped[Tensor, "_ 3 H W"]]) -> None:
    """Give each BatchNorm the statistics of these images, and the scale and shift that undo them.

    The outputs in evaluation mode stay equal. In training, where each batch has statistics of its
    own, they now start close to those. This is for weights whose norms were folded into the
    convolutions: without statistics the first training step would change every feature map.

    Args:
        model: The network; changed in place, and left in evaluation mode.
        batches: RGB from 0 to 255, of the network's ``image_size``; a hundred images or more.

    Raises:
        ValueError: If there is no image.
    """
    norms = {norm: _Moments() for norm in model.modules() if isinstance(norm, nn.BatchNorm2d)}
    hooks = [
        norm.register_forward_pre_hook(lambda norm, inputs: norms[norm].add(inputs[0]))
        for norm in norms
    ]
    model.eval()
    try:
        for images in batches:
            model(images)
    finally:
        for hook in hooks:
            hook.remove()
    for norm, moments in norms.items():
        if not moments.count:
            raise ValueError("norms cannot be refitted without an image")
        _restate(norm, *moments.mean_and_variance())


def _restate(norm: nn.BatchNorm2d, mean: Tensor, variance: Tensor) -> None:
    """Set running statistics, and the weight and bias that keep the norm's function."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    slope = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    norm.bias.copy_(norm.bias.double() + slope * (mean - norm.running_mean.double()))
    norm.weight.copy_(slope * (variance + norm.eps).sqrt())
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(variance)
