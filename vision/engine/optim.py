"""Optimiser, schedule, moving average and autocast dtype from a configuration."""

import math
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel

from vision.config import OptimConfig
from vision.model import SSDLite

MIN_LENGTH = 1e-3
"""Length that the weights of a filter have at least, as far as clipping is concerned."""
Tensors: TypeAlias = tuple[Tensor, ...] | list[Tensor]


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
    return torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum, fused=True)


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
    for weight in model.parameters():
        if weight.ndim < 2 or weight.grad is None:
            continue
        dims = tuple(range(1, weight.ndim))
        length = torch.linalg.vector_norm(weight, dim=dims, keepdim=True)
        max_length = ratio * length.clamp(min=MIN_LENGTH)
        length = torch.linalg.vector_norm(weight.grad, dim=dims, keepdim=True)
        weight.grad.mul_((max_length / length.clamp(min=1e-12)).clamp(max=1))


def average(model: SSDLite, decay: float) -> AveragedModel:
    """An exponential moving average of a network, its running statistics included.

    After t steps the decay is min(``decay``, (1 + t) / (10 + t)), so that the first weights, which
    detect nothing yet, are soon forgotten.
    """

    @torch.no_grad()
    def update(averaged: Tensors, current: Tensors, count: Tensor | int) -> None:
        if not torch.is_floating_point(averaged[0]):
            for ours, theirs in zip(averaged, current, strict=True):
                ours.copy_(theirs)
            return
        weight = 1 - torch.as_tensor((1 + count) / (10 + count)).clamp(max=decay)
        differences = torch._foreach_sub(list(current), list(averaged))  # noqa: SLF001
        torch._foreach_mul_(differences, weight)
        torch._foreach_add_(list(averaged), differences)

    return AveragedModel(model, multi_avg_fn=update, use_buffers=True)


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
