"""Optimiser, schedule and number format from a configuration."""

import math

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from vision.config import OptimConfig

__all__ = ["build_optimizer", "build_schedule", "clip_gradients", "has_bf16"]

SHORTEST_WEIGHTS = 1e-3


def build_optimizer(config: OptimConfig, model: nn.Module) -> torch.optim.SGD:
    """SGD that decays the weights of convolutions alone, not of norms, nor biases."""
    decayed = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    free = [parameter for parameter in model.parameters() if parameter.ndim <= 1]
    groups = [
        {"params": decayed, "weight_decay": config.weight_decay},
        {"params": free, "weight_decay": 0.0},
    ]
    return torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum, fused=True)


def build_schedule(
    config: OptimConfig, optimizer: torch.optim.Optimizer, epochs: int, steps_per_epoch: int
) -> LambdaLR:
    """Linear warm-up, then cosine decay to 0, step by step."""
    total = epochs * steps_per_epoch
    warmup = min(round(config.warmup_epochs * steps_per_epoch), total - 1)

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))

    return LambdaLR(optimizer, factor)


@torch.no_grad()
def clip_gradients(model: nn.Module, ratio: float) -> None:
    """Shorten each filter's gradient to ``ratio`` times the length of its weights, if longer.

    Adaptive gradient clipping (arXiv 2102.06171, equation 3), for weights of more than one
    dimension. In a network of many normed layers that starts from small weights, the first layers'
    gradients are hundreds of times longer than the last's. Unclipped they inflate those weights,
    and an inflated normed weight hardly turns any more; one bound for the whole gradient would
    hold back every other layer.
    """
    for weight in model.parameters():
        if weight.ndim < 2 or weight.grad is None:
            continue
        dims = tuple(range(1, weight.ndim))
        longest = torch.linalg.vector_norm(weight, dim=dims, keepdim=True)
        longest = ratio * longest.clamp(min=SHORTEST_WEIGHTS)
        lengths = torch.linalg.vector_norm(weight.grad, dim=dims, keepdim=True)
        weight.grad.mul_((longest / lengths.clamp(min=1e-12)).clamp(max=1))


def has_bf16(device: torch.device) -> bool:
    """Whether the device computes bf16 in hardware; emulated, it would be slower than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        return bool(
            torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()  # noqa: SLF001
        )
    return False
