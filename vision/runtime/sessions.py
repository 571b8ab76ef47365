"""What runs a detector's network: one call, whatever is behind it."""

# N batch, H W the network's height and width

from collections.abc import Callable
from typing import Literal, Protocol, TypeAlias, runtime_checkable

import torch
from jaxtyping import UInt8
from numpy import ndarray
from torch import Tensor

from vision.errors import ConfigError
from vision.model import DecodingNetwork
from vision.structures import Decoded

__all__ = ["SUFFIXES", "Backend", "GraphSession", "Precision", "Session", "TorchSession"]

Backend: TypeAlias = Literal["torch", "onnx", "openvino"]
Precision: TypeAlias = Literal["fp32", "bf16", "fp16", "int8"]

SUFFIXES: dict[Backend, str] = {"onnx": ".onnx", "openvino": ".xml"}
"""Of exported files."""

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@runtime_checkable
class Session(Protocol):
    """A network that is ready to run; several threads may call it at once.

    Attributes:
        image_size: (height, width) that images come in.
    """

    image_size: tuple[int, int]

    def __call__(self, images: UInt8[Tensor, "N 3 H W"]) -> Decoded:
        """Boxes and scores of each prior.

        Args:
            images: RGB, of the network's size; in channels-last memory nothing is copied.
        """
        ...


class GraphSession:
    """Runs an exported graph of the form ``decoded``.

    Args:
        runner: From pixels (N, H, W, 3) to the graph's outputs.
        image_size: (height, width) that it takes.
    """

    def __init__(
        self,
        runner: Callable[[UInt8[ndarray, "N H W 3"]], list[ndarray]],
        image_size: tuple[int, int],
    ) -> None:
        self.image_size = image_size
        self._runner = runner

    def __call__(self, images: UInt8[Tensor, "N 3 H W"]) -> Decoded:
        """Boxes and scores of each prior, on the CPU."""
        pixels = images.permute(0, 2, 3, 1).contiguous().numpy()
        return Decoded(*map(torch.from_numpy, self._runner(pixels)))


class TorchSession:
    """Runs in PyTorch, channels last.

    Args:
        network: What to run; it is moved and changed in place.
        device: Where to.
        precision: Of the layers; int8 there is none.

    Raises:
        ConfigError: If PyTorch has no such arithmetic there.
    """

    def __init__(
        self,
        network: DecodingNetwork,
        device: torch.device | str = "cpu",
        precision: Precision = "fp32",
    ) -> None:
        self.device = torch.device(device)
        if precision not in _DTYPES:
            raise ConfigError(
                f"precision {precision} is not for PyTorch; write an int8 graph with ssdlite"
                " export and load that"
            )
        if precision == "fp16" and self.device.type == "cpu":
            raise ConfigError("precision fp16 is for GPUs; take bf16 or fp32 on the CPU")
        self.image_size = network.image_size
        self._network = network.lower(_DTYPES[precision]).to(self.device)

    def __call__(self, images: UInt8[Tensor, "N 3 H W"]) -> Decoded:
        """Boxes and scores of each prior, on the session's device."""
        with torch.inference_mode():
            decoded: Decoded = self._network(images.to(self.device, non_blocking=True))
        return decoded
