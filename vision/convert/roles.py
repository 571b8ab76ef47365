"""The role of each convolution of the network, from which all key maps start."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple, TypeAlias

from torch import nn

from vision.model.ssdlite import SSDLite

Part: TypeAlias = Literal["stem", "block", "last", "extra", "class_head", "box_head"]
BACKBONE_PARTS = frozenset({"stem", "block", "last"})


@dataclass(frozen=True, slots=True)
class Role:
    """The place of a convolution.

    Attributes:
        part: The part of the network.
        index: Number of the block (from 1), extra layer or level (from 0); 0 elsewhere.
        step: ``expand``, ``depthwise``, ``project`` in a block of MobileNetV2; ``reduce``,
            ``depthwise``, ``project`` in an extra layer; ``depthwise``, ``predict`` in a head.
        path: Its key within the backbone, which is torchvision's.
    """

    part: Part
    index: int = 0
    step: str = ""
    path: str = ""


class Layer(NamedTuple):
    """A convolution and the BatchNorm behind it, if there is one, by their state-dict prefixes."""

    role: Role
    conv: str
    norm: str | None
    is_biased: bool


def layers(model: SSDLite) -> Iterator[Layer]:
    """All convolutions of a network without neck, in the order of its state dict."""
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
