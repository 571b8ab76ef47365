"""New running statistics for BatchNorm that leave the network's outputs unchanged."""

# H W height and width of an image

from collections.abc import Iterable

import torch
from jaxtyping import Shaped
from torch import Tensor, nn

from vision.model.ssdlite import SSDLite


@torch.no_grad()
def refit_norms(model: SSDLite, batches: Iterable[Shaped[Tensor, "_ 3 H W"]]) -> None:
    """Give each BatchNorm the statistics of these images, and a scale and shift that undo them.

    The outputs in evaluation mode stay the same. The outputs in training, where each batch has its
    own statistics, are now close to them. This is for weights whose norms were folded into the
    convolutions: without statistics, the first training step would change every feature map.

    Args:
        model: The network; changed in place, and left in evaluation mode.
        batches: RGB from 0 to 255, of the network's ``image_size``; a hundred images or more.

    Raises:
        ValueError: If there is no image.
    """
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    # For each channel: the number of values, their sum and the sum of their squares.
    sums: dict[nn.Module, Tensor] = {
        norm: torch.zeros(3, norm.num_features, dtype=torch.float64) for norm in norms
    }

    def add(norm: nn.Module, inputs: tuple[Tensor]) -> None:
        values = inputs[0].double().transpose(0, 1).flatten(1)
        sums[norm] += torch.stack([torch.ones_like(values), values, values.square()]).sum(dim=2)

    hooks = [norm.register_forward_pre_hook(add) for norm in norms]
    model.eval()
    try:
        for images in batches:
            model(images)
    finally:
        for hook in hooks:
            hook.remove()
    for norm in norms:
        count, total, squares = sums[norm]
        if not count.all():
            raise ValueError("norms cannot be refitted without an image")
        mean = total / count
        _restate(norm, mean, (squares / count - mean.square()).clamp(min=0))


def _restate(norm: nn.BatchNorm2d, mean: Tensor, variance: Tensor) -> None:
    """Set running statistics, and the weight and bias with which the norm's output is the same."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    slope = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    norm.bias.copy_(norm.bias.double() + slope * (mean - norm.running_mean.double()))
    norm.weight.copy_(slope * (variance + norm.eps).sqrt())
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(variance)
