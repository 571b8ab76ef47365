"""What holds for the tests of exported graphs."""

from typing import Any

import pytest

from vision.export import write
from vision.model import DecodingNetwork, PostProcess
from vision.runtime.metadata import Metadata
from vision.runtime.onnx import to_onnx

_TRACED: dict[str, Any] = {}


@pytest.fixture(autouse=True)
def traced_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tracing takes most of an export: a form of the same weights is traced once."""

    def once(network: DecodingNetwork, post_process: PostProcess, metadata: Metadata) -> Any:  # noqa: ANN401
        total = sum(float(value.detach().double().sum()) for value in network.parameters())
        key = f"{metadata} {total}"
        if key not in _TRACED:
            _TRACED[key] = to_onnx(network, post_process, metadata)
        return _TRACED[key]

    monkeypatch.setattr(write, "to_onnx", once)
