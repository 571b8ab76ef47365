"""Optimiser, schedule, moving average and autocast dtype from a configuration."""

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
"""Length that the weights of a filter have at least, as far as clipping is concerned."""


def build_optimizer(config: OptimConfig, model: SSDLite) -> torch.optim.Optimizer:
    """SGD or AdamW with weight decay on the weights of convolutions alone, not on norms and biases.

    Frozen parameters belong to it too, so that a checkpoint fits whatever is frozen; they have no
    gradient and stay as they are.
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
    """Let momentum start at 0 where there is none yet, which gives the same first step.

    Fused SGD allocates the buffers without filling them in the first step, and relies on that step
    to do so. If the scaler of fp16 has it skip that step, as it often does with its first, large
    scale, the buffers keep what was in that memory, and the next step adds it to the weights.
    """
    for group in optimizer.param_groups:
        for weight in group["params"]:
            if weight.requires_grad and optimizer.state[weight].get("momentum_buffer") is None:
                optimizer.state[weight]["momentum_buffer"] = torch.zeros_like(weight)


def build_schedule(
    config: OptimConfig, optimizer: torch.optim.Optimizer, epochs: int, steps_per_epoch: int
) -> LambdaLR:
    """Linear warm-up, then cosine decay to 0 or a multiplication by gamma at each milestone."""
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
    """Shorten each filter's gradient to ``ratio`` times the length of its weights, if longer.

    Adaptive gradient clipping (arXiv 2102.06171, equation 3), for weights of more than one
    dimension. In a network of many layers with BatchNorm that starts from small weights, the first
    layers' gradients are hundreds of times longer than the last's. Unclipped they inflate those
    weights, whose direction then hardly changes any more; one bound for the whole gradient would
    hold back every other layer.
    """
    filters = [w for w in model.parameters() if w.ndim > 1 and w.grad is not None]
    gradients = [w.grad for w in filters if w.grad is not None]
    if not filters:
        return
    # The lengths of all filters side by side: a GPU is slow in starting many small kernels.
    max_lengths = _filter_lengths(filters).clamp_(min=MIN_LENGTH).mul_(ratio)
    factors = (max_lengths / _filter_lengths(gradients).clamp_(min=1e-12)).clamp_(max=1)
    parts = torch.split(factors, [len(weight) for weight in filters])
    shaped = [part.view(-1, *[1] * (w.ndim - 1)) for part, w in zip(parts, filters, strict=True)]
    torch._foreach_mul_(gradients, shaped)


def _filter_lengths(weights: Sequence[Tensor]) -> Float[Tensor, "filters"]:
    lengths = [torch.linalg.vector_norm(w, dim=tuple(range(1, w.ndim))) for w in weights]
    return torch.cat(lengths)


class MovingAverage(nn.Module):
    """An exponential moving average of a network, its running statistics included.

    After t updates the decay is min(``decay``, (1 + t) / (10 + t)), so that the first weights,
    which detect nothing yet, are soon forgotten. It has the state of PyTorch's `AveragedModel`,
    whose update goes through the parameters one by one and waits for the device.

    An update, as `vision.engine.step.train_step` makes it, blends with `rate` and then adds 1 to
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
        """The weight of the network's present values in the next update, 1 in the first."""
        count = int(self.n_averaged)  # on the CPU, wherever the network is
        # In float32, as it has always been, so that resumed runs stay the same to the bit.
        decay = min(np.float32(1 + count) / np.float32(10 + count), np.float32(self.decay))
        return float(1 - decay) if count else 1.0

    @torch.no_grad()
    def blend(self, rate: float | Tensor) -> None:
        """Take the network's present values into the average with a weight, without counting."""
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
    """Freeze the backbone's first layers and return them; they must stay in evaluation mode."""
    layers = list(model.backbone.stages())[:count]
    for layer in layers:
        layer.requires_grad_(requires_grad=False)
    return layers


def autocast_dtype(precision: str, device: torch.device) -> torch.dtype:
    """The type that the network computes in, for a value of ``train.precision``.

    ``auto`` is bf16 where the hardware supports it; emulated, it would be slower than float32.
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
