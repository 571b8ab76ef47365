"""CUDA graphs, which start hundreds of kernels by one call."""

from collections.abc import Callable
from threading import Lock
from typing import Any, TypeAlias

import torch
from torch import Tensor

Finish: TypeAlias = Callable[[], Tensor]
"""Waits for a result, and returns it in host memory."""
Recorded: TypeAlias = Callable[..., Finish]
"""Starts a recorded function on its inputs; what it returns waits for the result."""
_RECORDING = Lock()
"""Allows one recording at a time: PyTorch waits for the whole device before a recording."""


class CudaRecorder:
    """Records functions as graphs on one GPU; runs them in one stream, and copies in another.

    One thread at a time may use it, but any thread may wait for a result.

    Args:
        device: The GPU.
    """

    def __init__(self, device: torch.device) -> None:
        with torch.cuda.device(device):
            self._device = torch.device("cuda", torch.cuda.current_device())
            self._work: Any = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            self._copies: Any = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        self._pool = torch.cuda.graph_pool_handle()

    def record(self, function: Callable[..., Tensor], *inputs: Tensor) -> Recorded:
        """Record a function; a call takes tensors shaped like ``inputs``, or with fewer rows.

        At the first start, the result is compared with the function's result without the graph.

        Args:
            function: Returns a tensor with a row for each row of the inputs. Its operations must
                not depend on the values of the inputs; only its result may.
            inputs: Example inputs on any device; their memory format is kept.

        Raises:
            RuntimeError: If CUDA cannot record the function; also from the first start, if the
                results differ.
        """
        is_checked = False
        with (
            _RECORDING,
            torch.cuda.device(self._device),
            torch.cuda.stream(self._work),
            torch.inference_mode(),
        ):
            held = [one.to(self._device, copy=True) for one in inputs]
            for _ in range(3):  # Libraries choose kernels and allocate at first.
                function(*held)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, self._pool, self._work, "thread_local"):
                output = function(*held)

        def start(*given: Tensor) -> Finish:
            nonlocal is_checked
            with torch.cuda.device(self._device), torch.inference_mode():
                moved = self._copy(given)
                with torch.cuda.stream(self._work):
                    for one, place in zip(moved, held, strict=True):
                        place[: len(one)].copy_(one)
                    graph.replay()
                    if not is_checked and not torch.allclose(output, function(*held), 1e-3, 1e-2):
                        raise RuntimeError(
                            "the CUDA graph gives other results than the same steps without it"
                        )
                    is_checked = True
                    return _to_host(output[: len(given[0])])

        return start

    def _copy(self, tensors: tuple[Tensor, ...]) -> list[Tensor]:
        """Copy tensors to the GPU while it still works on what was started before."""
        self._copies.wait_stream(torch.cuda.current_stream())  # It may still compute some of them.
        with torch.cuda.stream(self._copies):
            moved = [
                (one if one.is_cuda or one.is_pinned() else one.pin_memory()).to(
                    self._device, non_blocking=True
                )
                for one in tensors
            ]
        self._work.wait_stream(self._copies)
        for one in moved:
            one.record_stream(self._work)
        return moved


def _to_host(rows: Tensor) -> Finish:
    """Start copying rows to the host in the current stream."""
    result = torch.empty(rows.shape, dtype=rows.dtype, pin_memory=True)
    result.copy_(rows, non_blocking=True)
    done = torch.cuda.Event()  # type: ignore[no-untyped-call]
    done.record()

    def finish() -> Tensor:
        done.synchronize()
        return result

    return finish
