"""What each layer of the network is for, whatever its name: the common ground of all key maps."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, TypeAlias

from torch import nn

from vision.model.ssdlite import SSDLite

__all__ = ["Layer", "Part", "Role", "class_keys", "layers"]

Part: TypeAlias = Literal["stem", "block", "last", "extra", "neck", "class_head", "box_head"]


@dataclass(frozen=True, slots=True)
class Role:
    """The place of a convolution.

    Attributes:
        part: Of the network.
        index: Of the block (from 1), of the extra layer or of the level (from 0); 0 elsewhere.
        step: Nothing for the stem and the trunk's last layer; ``expand``, ``depthwise``,
            ``project`` in a block; ``reduce``, ``depthwise``, ``project`` in an extra layer;
            ``lateral``, ``depthwise``, ``project`` in a level of the neck; ``depthwise``,
            ``predict`` in a head.
    """

    part: Part
    index: int = 0
    step: str = ""


@dataclass(frozen=True, slots=True)
class Layer:
    """A convolution and the norm behind it.

    Attributes:
        role: Its place.
        conv: State-dict prefix of the convolution.
        norm: State-dict prefix of the BatchNorm, if it has one.
        is_biased: Whether the convolution has a bias.
    """

    role: Role
    conv: str
    norm: str | None
    is_biased: bool


def layers(model: SSDLite) -> list[Layer]:
    """All convolutions of a network with BatchNorm, in the order of its state dict."""
    found = []
    for (name, module), (after, following) in pairwise([*model.named_modules(), ("", None)]):
        if isinstance(module, nn.Conv2d):
            norm = after if isinstance(following, nn.BatchNorm2d) else None
            found.append(Layer(_role(name), name, norm, module.bias is not None))
    return found


def class_keys(model: SSDLite) -> list[str]:
    """State-dict keys of all that has a row for each prior of a cell and each class."""
    return [
        f"{layer.conv}.{part}"
        for layer in layers(model)
        if layer.role.part == "class_head" and layer.role.step == "predict"
        for part in ("weight", "bias")
    ]


def _role(name: str) -> Role:
    """From our own names, which the rest of the package decides."""
    part, *rest = name.split(".")
    if part == "trunk":
        return _trunk_role(rest[1:])
    if part == "neck":
        is_lateral = rest[0] == "lateral"
        return Role(
            "neck",
            int(rest[1]),
            "lateral" if is_lateral else ("depthwise", "project")[int(rest[2])],
        )
    index, step = int(rest[0]), int(rest[1]) if len(rest) > 1 else 1
    if part == "extras":
        return Role("extra", index, ("reduce", "depthwise", "project")[step])
    head: Part = "class_head" if part == "class_heads" else "box_head"
    return Role(head, index, "depthwise" if step == 0 else "predict")


def _trunk_role(path: list[str]) -> Role:
    index = int(path[0])
    if index == 0:
        return Role("stem")
    if len(path) == 2:
        return Role("last")
    steps = ("depthwise", "project") if index == 1 else ("expand", "depthwise", "project")
    return Role("block", index, steps[int(path[2])])
