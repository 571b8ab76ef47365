"""The size of a network, in parameters and in multiplications."""

import copy

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


def count_parameters(network: nn.Module) -> int:
    """Count the trained values: weights, biases, and the norms' scales and shifts."""
    return sum(value.numel() for value in network.parameters())


def count_macs(network: nn.Module, image_size: tuple[int, int]) -> int:
    """Count the multiplications in a forward pass of one image, from shapes on the meta device."""
    twin = copy.deepcopy(network).to("meta").eval()
    with FlopCounterMode(display=False) as counter:
        twin(torch.empty(1, 3, *image_size, device="meta"))
    return int(counter.get_total_flops()) // 2
