"""PyTorch: runs weights files without an export."""

# N images, H W height and width of the network's input

from typing import ClassVar

import torch
from jaxtyping import UInt8
from torch import Tensor

from vision.choices import Precision
from vision.device import choose_device
from vision.errors import ConfigError
from vision.model import SSDLite, decode_predictions
from vision.runtime.backend import Precisions, RuntimeOptions
from vision.structures import Decoded

_DTYPES: dict[Precision, torch.dtype] = {
    "fp32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}


class TorchSession:
    """Runs a network in PyTorch, channels last; outputs are on the session's device.

    Args:
        network: Of `vision.model.fuse`; it is moved and changed in place.
        device: Where to run it.
        precision: Of the layers: ``fp32``, ``bf16`` or ``fp16``.

    Raises:
        ConfigError: If the device does not compute in this precision.
    """

    def __init__(
        self, network: SSDLite, device: torch.device | str = "cpu", precision: Precision = "fp32"
    ) -> None:
        self._precision: Precision = precision
        self._network = network.cast_layers(_DTYPES[precision])
        self.image_size = network.image_size
        self.move(torch.device(device))

    def move(self, device: torch.device) -> None:
        """Move the network to another device.

        Raises:
            ConfigError: If the device does not compute in the session's precision.
        """
        if self._precision == "fp16" and device.type == "cpu":
            raise ConfigError("precision fp16 is for GPUs; take bf16 or fp32 on the CPU")
        self.device = device
        self.options = RuntimeOptions("torch", str(device), self._precision)
        self._network.to(device)

    def __call__(self, images: UInt8[Tensor, "N 3 H W"]) -> Decoded:
        """See `vision.runtime.backend.Session`."""
        with torch.inference_mode():
            predictions = self._network(images.to(self.device, non_blocking=True))
            return decode_predictions(predictions, self._network.priors, self._network.scores)


class TorchBackend:
    """See `vision.runtime.backend.Backend`."""

    title: ClassVar[str] = "PyTorch"
    precisions: ClassVar[tuple[Precision, ...]] = tuple(_DTYPES)
    benchmarked: ClassVar[Precisions] = {"fp32": ("fp32", "bf16")}

    def build(self, network: SSDLite, options: RuntimeOptions) -> TorchSession:
        """A session; the number of threads is that of the process."""
        if options.threads is not None:
            torch.set_num_threads(options.threads)
        device = choose_device(options.device or "auto")
        return TorchSession(network, device, options.precision or "fp32")
