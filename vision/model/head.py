"""Class and box heads, and the rows that each class has in them."""

# N batch, P priors, V values of a prior, h w map height and width

from collections.abc import Iterator, Sequence
from typing import Literal, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vision.model.layers import BlockStyle, depthwise_separable

Scores: TypeAlias = Literal["softmax", "sigmoid"]


class Heads(nn.ModuleList):
    """A prediction layer for each level.

    Args:
        channels: Channels of each level's map.
        priors_per_cell: Priors of a cell of each level.
        num_values: Numbers that are predicted for each prior.
        style: Norm and activation.
        biased_depthwise: Whether the depthwise convolutions have biases before their norm.
        last_head_1x1: Whether the last level has one 1x1 convolution alone.
    """

    def __init__(
        self,
        channels: Sequence[int],
        priors_per_cell: Sequence[int],
        num_values: int,
        style: BlockStyle,
        *,
        biased_depthwise: bool = False,
        last_head_1x1: bool = False,
    ) -> None:
        counts = [num_values * count for count in priors_per_cell]
        layers: list[nn.Module] = [
            depthwise_separable(inputs, count, style, bias=biased_depthwise)
            for inputs, count in zip(channels, counts, strict=True)
        ]
        if last_head_1x1:
            layers[-1] = nn.Conv2d(channels[-1], counts[-1], 1)
        super().__init__(layers)
        self.num_values = num_values

    def forward(self, maps: Sequence[Float[Tensor, "N _ _ _"]]) -> Float[Tensor, "N P V"]:
        """The predictions for each prior, in the order of the priors."""
        outputs = [head(level) for head, level in zip(self, maps, strict=True)]
        rows = [
            output.permute(0, 2, 3, 1).reshape(output.shape[0], -1, self.num_values)
            for output in outputs
        ]
        return torch.cat(rows, dim=1)


class ClassHeads(Heads):
    """Heads that give a logit for each class, then one for background.

    The arguments are those of `Heads`; ``num_values`` is the number of classes + 1.
    """

    def row_keys(self) -> Iterator[str]:
        """State-dict keys of the tensors with a row for each prior of a cell and each logit."""
        for level, head in enumerate(self):
            name = str(level) if isinstance(head, nn.Conv2d) else f"{level}.1"
            yield from (f"{name}.weight", f"{name}.bias")


def class_keys(network: nn.Module) -> list[str]:
    """State-dict keys of the tensors with a row for each prior of a cell and each class."""
    return [f"{name}.{key}" for name, heads in _class_heads(network) for key in heads.row_keys()]


def head_keys(network: nn.Module) -> set[str]:
    """State-dict keys of all class and box heads."""
    heads = (item for item in network.named_modules() if isinstance(item[1], Heads))
    return {f"{name}.{key}" for name, module in heads for key in module.state_dict()}


def by_class(rows: Tensor, num_classes: int) -> Tensor:
    """The rows of a class head, viewed as (prior of a cell, class with background last, ...)."""
    return rows.view(-1, num_classes + 1, *rows.shape[1:])


def select_classes(network: nn.Module, labels: Sequence[int]) -> dict[str, Tensor]:
    """A network's state dict with the class rows of ``labels``, in their order, then background."""
    state = network.state_dict()
    for name, heads in _class_heads(network):
        background = heads.num_values - 1
        for key in heads.row_keys():
            rows = by_class(state[f"{name}.{key}"], background)
            state[f"{name}.{key}"] = rows[:, [*labels, background]].flatten(0, 1)
    return state


def _class_heads(network: nn.Module) -> Iterator[tuple[str, ClassHeads]]:
    for name, module in network.named_modules():
        if isinstance(module, ClassHeads):
            yield name, module
