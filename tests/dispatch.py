"""What PyTorch dispatches in a piece of code."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


class CountedOperations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the operations that are dispatched inside it, except in what `paused` wraps.

    Attributes:
        counts: How often each operation was called.
        elements: Elements of all the tensors that they gave.
        largest: Elements of the largest of these.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.counts = Counter[str]()
        self.elements = self.largest = 0
        self.is_paused = False

    def __torch_dispatch__(
        self,
        func: Any,  # noqa: ANN401
        types: Any,  # noqa: ANN401
        args: Any = (),  # noqa: ANN401
        kwargs: Any = None,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        """Count an operation and run it."""
        result = func(*args, **(kwargs or {}))
        if not self.is_paused:
            self.counts[str(func)] += 1
            size = result.numel() if isinstance(result, Tensor) else 0
            self.elements, self.largest = self.elements + size, max(self.largest, size)
        return result

    def paused(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, whose operations do not count."""

        def call(*given: Any) -> Any:  # noqa: ANN401
            self.is_paused = True
            try:
                return function(*given)
            finally:
                self.is_paused = False

        return call
