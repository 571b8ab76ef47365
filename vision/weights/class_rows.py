"""The rows of each class in a network's class heads."""

from collections.abc import Sequence

from torch import Tensor, nn

from vision.model.ssdlite import SSDLite


def class_keys(model: SSDLite) -> list[str]:
    """Return the state-dict keys of tensors with a row for each prior of a cell and each class."""
    layers = [
        f"class_heads.{level}" if isinstance(head, nn.Conv2d) else f"class_heads.{level}.1"
        for level, head in enumerate(model.class_heads)
    ]
    return [f"{layer}.{part}" for layer in layers for part in ("weight", "bias")]


def by_class(rows: Tensor, num_classes: int) -> Tensor:
    """View the rows of a class head as (prior of a cell, class with background last, ...)."""
    return rows.view(-1, num_classes + 1, *rows.shape[1:])


def select_classes(model: SSDLite, labels: Sequence[int]) -> dict[str, Tensor]:
    """Return a state dict with the class rows of ``labels``, in their order, then background."""
    state, background = model.state_dict(), model.num_classes
    for key in class_keys(model):
        rows = by_class(state[key], background)
        state[key] = rows[:, [*labels, background]].flatten(0, 1)
    return state
