"""The role of each convolution of the network, and how a project's checkpoints name it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal, NamedTuple, TypeAlias

from torch import nn

from vision.model.ssdlite import SSDLite

Part: TypeAlias = Literal["stem", "block", "last", "extra", "class_head", "box_head"]
BACKBONE_PARTS = frozenset({"stem", "block", "last"})
NORM_PARTS = (".weight", ".bias", ".running_mean", ".running_var")
"""Suffixes of a norm's key in a state dict of PyTorch."""


@dataclass(frozen=True, slots=True)
class Role:
    """The place of a convolution in the network.

    Attributes:
        part: The part of the network.
        index: Number of the block (from 1), or of the extra layer or level (from 0); otherwise 0.
        step: ``expand``, ``depthwise``, ``project`` in a block of MobileNetV2; ``reduce``,
            ``depthwise``, ``project`` in an extra layer; ``depthwise``, ``predict`` in a head.
        path: Key within the backbone, which equals torchvision's.
    """

    part: Part
    index: int = 0
    step: str = ""
    path: str = ""


class Layer(NamedTuple):
    """A convolution and the BatchNorm after it, if there is one, by their state-dict prefixes."""

    role: Role
    conv: str
    norm: str | None
    is_biased: bool


def layers(model: SSDLite) -> Iterator[Layer]:
    """Yield all convolutions of a network without a neck, in the order of its state dict."""
    assert model.neck is None
    for (name, module), (after, following) in pairwise([*model.named_modules(), ("", None)]):
        if isinstance(module, nn.Conv2d):
            norm = after if isinstance(following, nn.BatchNorm2d) else None
            yield Layer(_role(name), name, norm, module.bias is not None)


def _role(name: str) -> Role:
    part, path = name.split(".", 1)
    if part == "backbone":
        return _backbone_role(path)
    steps = [int(step) for step in path.split(".")]
    index, step = steps[0], steps[1] if len(steps) > 1 else 1
    if part == "extras":
        return Role("extra", index, ("reduce", "depthwise", "project")[step])
    head: Part = "class_head" if part == "class_heads" else "box_head"
    return Role(head, index, "depthwise" if step == 0 else "predict")


def _backbone_role(path: str) -> Role:
    _, place, *steps = path.split(".")
    index = int(place)
    if index == 0:
        return Role("stem", path=path)
    if len(steps) == 1:
        return Role("last", path=path)
    step = ""
    if steps[0] == "conv":  # MobileNetV2, whose first block does not expand.
        step = ("expand", "depthwise", "project")[int(steps[1]) + (index == 1)]
    return Role("block", index, step, path)


def next_in_sequence(key: str) -> str:
    """Return the key of the norm that follows a convolution in a numbered sequence."""
    stem, _, number = key.rpartition(".")
    return f"{stem}.{int(number) + 1}"


@dataclass(frozen=True, slots=True)
class CheckpointLayout:
    """The layout of one project's checkpoints.

    Attributes:
        name: Name of the project.
        preset: ``model.preset`` of its network.
        backbone: ``model.backbone`` of its network.
        image_size: (height, width).
        conv: Maps a role to the key of a convolution, without ``.weight`` or ``.bias``.
        norm: Maps the key of a convolution to the key of the norm after it.
        weight: Maps the key of a convolution and its role to the key of its weight.
        bias: Suffix that turns a convolution's key into the key of its bias.
        norm_parts: Suffixes of a norm's key: weight, bias, running mean and running variance.
        background_first: Whether background comes before the classes.
        postprocess: Values of ``model.postprocess``.
        prior_order: By the number of priors per cell, the source's index of each of our priors.
        box_order: Indices of x, y, width and height in the source's box offsets.
        licence: Licence of the weights.
        backbone_only: Whether it is a classifier, of which only the backbone is read.
    """

    name: str
    preset: str
    image_size: tuple[int, int]
    conv: Callable[[Role], str]
    norm: Callable[[str], str] = next_in_sequence
    weight: Callable[[str, Role], str] = lambda key, _: f"{key}.weight"
    bias: str = ".bias"
    norm_parts: tuple[str, str, str, str] = NORM_PARTS
    background_first: bool = True
    postprocess: Mapping[str, Any] = field(default_factory=dict)
    prior_order: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    box_order: tuple[int, int, int, int] = (0, 1, 2, 3)
    licence: str = ""
    backbone: str = "mobilenet_v2"
    backbone_only: bool = False
