"""The description of one project's checkpoints."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from vision.convert.roles import Role


def next_in_sequence(key: str) -> str:
    """The key of the norm that follows a convolution in a numbered sequence."""
    stem, _, number = key.rpartition(".")
    return f"{stem}.{int(number) + 1}"


@dataclass(frozen=True, slots=True)
class CheckpointLayout:
    """How to understand one project's detector.

    Attributes:
        name: Name of the project.
        preset: ``model.preset`` of its network.
        backbone: ``model.backbone`` of its network.
        image_size: (height, width).
        conv: From a role to the key of a convolution, without ``.weight`` or ``.bias``.
        norm: From the key of a convolution to the key of the norm behind it.
        weight: From the key of a convolution and its role to the key of its weight.
        bias: Suffix of a convolution's key that gives its bias.
        norm_parts: Suffixes of a norm's key: weight, bias, running mean and running variance.
        background_first: Whether background comes before the classes.
        postprocess: Values of ``model.postprocess``.
        prior_order: For each number of priors in a cell, the index in the source of each of ours.
        box_order: Indices of x, y, width and height in the source's box offsets.
        licence: Licence of the weights.
        backbone_only: Whether it is a classifier, of which the backbone alone is read.
    """

    name: str
    preset: str
    image_size: tuple[int, int]
    conv: Callable[[Role], str]
    norm: Callable[[str], str] = next_in_sequence
    weight: Callable[[str, Role], str] = lambda key, _: f"{key}.weight"
    bias: str = ".bias"
    norm_parts: tuple[str, str, str, str] = (".weight", ".bias", ".running_mean", ".running_var")
    background_first: bool = True
    postprocess: Mapping[str, Any] = field(default_factory=dict)
    prior_order: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    box_order: tuple[int, int, int, int] = (0, 1, 2, 3)
    licence: str = ""
    backbone: str = "mobilenet_v2"
    backbone_only: bool = False
