"""Optimiser, schedule and number format from a configuration."""

import math

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from vision.config import OptimConfig

__all__ = ["build_optimizer", "build_schedule", "has_bf16"]


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
    warmup = min(config.warmup_epochs * steps_per_epoch, total - 1)

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))

    return LambdaLR(optimizer, factor)


def has_bf16(device: torch.device) -> bool:
    """Whether the device computes bf16 in hardware; emulated, it would be slower than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        return bool(
            torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()  # noqa: SLF001
        )
    return False
