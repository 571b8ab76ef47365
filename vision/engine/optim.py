"""Build optimiser, schedule, moving average and autocast dtype from a configuration."""

import copy
import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from vision.config import OptimConfig
from vision.model import SSDLite

MIN_LENGTH = 1e-3
"""Lower bound of the norm of a filter's weights, for gradient clipping."""


def build_optimizer(config: OptimConfig, model: SSDLite) -> torch.optim.Optimizer:
    """Build SGD or AdamW with weight decay only on convolution weights, not on norms and biases.

    Frozen parameters are included, so that checkpoints fit whatever is frozen; without gradients,
    they do not change.
    """
    backbone = {id(parameter) for parameter in model.backbone.parameters()}
    others = [parameter for parameter in model.parameters() if id(parameter) not in backbone]
    lr = config.lr * config.backbone_lr
    parts = [(list(model.backbone.parameters()), lr)]
    if config.layer_decay != 1:
        layers = list(model.backbone.stages())
        parts = [
            (list(layer.parameters()), lr * config.layer_decay ** (len(layers) - index))
            for index, layer in enumerate(layers)
        ]
    groups = []
    for parameters, lr in (*parts, (others, config.lr)):
        for is_decayed in (True, False):
            group = [value for value in parameters if (value.ndim > 1) == is_decayed]
            decay = config.weight_decay if is_decayed else 0.0
            groups.append({"params": group, "weight_decay": decay, "lr": lr})
    if config.name == "adamw":
        return torch.optim.AdamW(groups, lr=config.lr, fused=True)
    optimizer = torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum, fused=True)
    _zero_momentum(optimizer)
    optimizer.register_load_state_dict_post_hook(_zero_momentum)
    return optimizer


def _zero_momentum(optimizer: torch.optim.Optimizer) -> None:
    """Set missing momentum buffers to 0, which gives the same first step as without them.

    Fused SGD allocates uninitialised buffers and relies on the first step to fill them. If fp16's
    loss scaler makes it skip that step, which is common at the large initial scale, the buffers
    stay uninitialised, and the next step adds their random content to the weights.
    """
    for group in optimizer.param_groups:
        for weight in group["params"]:
            if weight.requires_grad and optimizer.state[weight].get("momentum_buffer") is None:
                optimizer.state[weight]["momentum_buffer"] = torch.zeros_like(weight)


def build_schedule(
    config: OptimConfig, optimizer: torch.optim.Optimizer, epochs: int, steps_per_epoch: int
) -> LambdaLR:
    """Build a schedule: linear warm-up, then cosine decay to 0 or a factor gamma per milestone."""
    total = epochs * steps_per_epoch
    warmup = min(round(config.warmup_epochs * steps_per_epoch), total - 1)
    is_multistep, gamma = config.schedule == "multistep", config.gamma
    milestones = [round(fraction * total) for fraction in config.milestones]

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        if is_multistep:
            return float(gamma ** sum(step >= milestone for milestone in milestones))
        fraction = min(1.0, (step - warmup) / max(1, total - warmup))
        return 0.5 * (1 + math.cos(math.pi * fraction))

    return LambdaLR(optimizer, factor)


@torch.no_grad()
def clip_gradients(model: nn.Module, ratio: float) -> None:
    """Limit the norm of each filter's gradient to ``ratio`` times the norm of its weights.

    Adaptive gradient clipping (arXiv 2102.06171, equation 3), for weights of more than one
    dimension. In a deep network with BatchNorm that starts from small weights, the gradients of the
    first layers are hundreds of times larger than those of the last ones. Without clipping, they
    inflate the first layers' weights, whose direction then hardly changes any more; clipping by the
    global norm would slow down all other layers.
    """
    filters = [w for w in model.parameters() if w.ndim > 1 and w.grad is not None]
    gradients = [w.grad for w in filters if w.grad is not None]
    if not filters:
        return
    # All norms are in one tensor, because launching many small kernels is slow on a GPU.
    max_lengths = _filter_lengths(filters).clamp_(min=MIN_LENGTH).mul_(ratio)
    factors = (max_lengths / _filter_lengths(gradients).clamp_(min=1e-12)).clamp_(max=1)
    parts = torch.split(factors, [len(weight) for weight in filters])
    shaped = [part.view(-1, *[1] * (w.ndim - 1)) for part, w in zip(parts, filters, strict=True)]
    torch._foreach_mul_(gradients, shaped)


def _filter_lengths(weights: Sequence[Tensor]) -> Float[Tensor, "filters"]:
    lengths = [torch.linalg.vector_norm(w, dim=tuple(range(1, w.ndim))) for w in weights]
    return torch.cat(lengths)


class MovingAverage(nn.Module):
    """An exponential moving average of a network, including its running statistics.

    After t updates the decay is min(``decay``, (1 + t) / (10 + t)), so that the first weights,
    which detect nothing yet, are soon forgotten. Its state dict has the layout of PyTorch's
    `AveragedModel`, whose update loops over the parameters and waits for the device.

    To update it, `vision.engine.step.train_step` calls `blend` with `rate` and then adds 1 to
    ``n_averaged``, the number of updates.
    """

    n_averaged: Tensor

    def __init__(self, model: SSDLite, decay: float) -> None:
        super().__init__()
        self.module = copy.deepcopy(model)
        self.register_buffer("n_averaged", torch.tensor(0))
        self.decay = decay
        both = [[*net.parameters(), *net.buffers()] for net in (self.module, model)]
        self._floats = [[v for v in values if v.is_floating_point()] for values in both]
        self._counts = [[v for v in values if not v.is_floating_point()] for values in both]

    @property
    def rate(self) -> float:
        """The weight of the network's current values in the next update; 1 in the first."""
        count = int(self.n_averaged)  # The counter is on the CPU, whatever the network's device.
        # In float32 as in earlier versions, so that resumed runs stay bit-identical.
        decay = min(np.float32(1 + count) / np.float32(10 + count), np.float32(self.decay))
        return float(1 - decay) if count else 1.0

    @torch.no_grad()
    def blend(self, rate: float | Tensor) -> None:
        """Blend the network's current values into the average with weight ``rate``, uncounted."""
        ours, theirs = self._floats
        if isinstance(rate, float) and rate == 1:
            torch._foreach_copy_(ours, theirs)
        else:
            differences = torch._foreach_sub(theirs, ours)  # noqa: SLF001
            torch._foreach_mul_(differences, rate)
            torch._foreach_add_(ours, differences)
        ours, theirs = self._counts
        if ours:
            torch._foreach_copy_(ours, theirs)


def freeze(model: SSDLite, count: int) -> list[nn.Module]:
    """Freeze the first ``count`` backbone layers; return them, to be kept in evaluation mode."""
    layers = list(model.backbone.stages())[:count]
    for layer in layers:
        layer.requires_grad_(requires_grad=False)
    return layers


def autocast_dtype(precision: str, device: torch.device) -> torch.dtype:
    """Return the type that the network computes in, for a value of ``train.precision``.

    ``auto`` is bf16 if the hardware supports it; emulated bf16 would be slower than float32.
    """
    if precision == "fp16":
        return torch.float16
    is_bf16 = precision == "bf16" or (precision == "auto" and _has_bf16(device))
    return torch.bfloat16 if is_bf16 else torch.float32


def _has_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        return bool(
            torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()  # noqa: SLF001
        )
    return False
