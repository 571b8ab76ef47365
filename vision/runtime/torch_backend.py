"""PyTorch: runs weights files without an export."""

# N images, H W height and width of the network's input

from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar

import torch
from jaxtyping import UInt8
from torch import Tensor

from vision.choices import Precision
from vision.device import choose_device
from vision.errors import ConfigError
from vision.model import PostProcess, SSDLite, decode_predictions
from vision.runtime.backend import Precisions, RuntimeOptions
from vision.runtime.cuda_graph import CudaRecorder
from vision.runtime.fixed_batches import Finish, FixedBatches, Threshold
from vision.runtime.fork import SPAWN, OwnProcess
from vision.structures import Decoded

_DTYPES: dict[Precision, torch.dtype] = {
    "fp32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}


class TorchSession:
    """Runs a network in PyTorch, channels last; outputs are on the session's device.

    Args:
        network: From `vision.model.fuse`; it is moved and changed in place.
        device: Where to run it.
        precision: Precision of the layers: ``fp32``, ``bf16`` or ``fp16``.

    Attributes:
        batches: Detects in recorded batches on CUDA; None on other devices.

    Raises:
        ConfigError: If the device does not support this precision.
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
            ConfigError: If the device does not support the session's precision.
        """
        if self._precision == "fp16" and device.type == "cpu":
            raise ConfigError("precision fp16 is for GPUs; use bf16 or fp32 on the CPU")
        self.device = device
        self.options = RuntimeOptions("torch", str(device), self._precision)
        self._network.to(device)
        self._process: OwnProcess | None = None
        self.batches: FixedBatches | None = None
        if device.type == "cuda":
            self._process = cuda_process()
            run, record = partial(_decode, self._network), CudaRecorder(device).record
            self.batches = FixedBatches(run, self.image_size, self._network.num_classes, record)

    def __call__(self, images: UInt8[Tensor, "N 3 H W"]) -> Decoded:
        """See `vision.runtime.backend.Session`."""
        self._check_process()
        return _decode(self._network, images)

    def start(
        self,
        images: UInt8[Tensor, "N 3 H W"],
        sizes: Sequence[tuple[int, int]],
        post_process: PostProcess,
        threshold: Threshold,
    ) -> Finish:
        """Start detection; see `FixedBatches.start`. Without ``batches``, it is done on return."""
        self._check_process()
        if self.batches is not None:
            return self.batches.start(images, sizes, post_process, threshold)
        found = post_process(self(images), sizes, threshold)
        return lambda: [one.to("cpu") for one in found]

    def _check_process(self) -> None:
        if self._process is not None:
            self._process.check()

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the network: graphs are recorded again."""
        return TorchSession, (self._network, self.device, self._precision)


def cuda_process() -> OwnProcess:
    """Remember this process: CUDA does not work in processes that are forked from it."""
    return OwnProcess("CUDA", None, SPAWN, "does not work in a forked process:")


def _decode(network: SSDLite, images: UInt8[Tensor, "N 3 H W"]) -> Decoded:
    with torch.inference_mode():
        predictions = network(images.to(network.priors.device, non_blocking=True))
        return decode_predictions(predictions, network.priors, network.scores)


class TorchBackend:
    """See `vision.runtime.backend.Backend`."""

    title: ClassVar[str] = "PyTorch"
    precisions: ClassVar[tuple[Precision, ...]] = tuple(_DTYPES)
    benchmarked: ClassVar[Precisions] = {"fp32": ("fp32", "bf16")}

    def build(self, network: SSDLite, options: RuntimeOptions) -> TorchSession:
        """Return a session; a number of threads applies to the whole process."""
        if options.threads is not None:
            torch.set_num_threads(options.threads)
        device = choose_device(options.device or "auto")
        return TorchSession(network, device, options.precision or "fp32")
