"""Fixtures of exported graphs, for the tests of what runs them and of what writes them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jaxtyping import UInt8
from numpy import ndarray

from vision.config import SyntheticSource
from vision.data import sample_images
from vision.export import ExportSpec, export_detector
from vision.model import DecodingNetwork
from vision.runtime import Metadata, onnx_backend, openvino_backend
from vision.runtime.onnx_graph import to_onnx
from vision.weights import SavedDetector, load_weights

__all__ = ["BACKENDS", "Images", "exported", "images", "saved", "traced_once"]

Images = list[UInt8[ndarray, "h w 3"]]
BACKENDS = ["onnx", "openvino"]
SCENES = SyntheticSource(format="synthetic", num_images=8, seed=0, image_size=(128, 128))

_TRACED: dict[str, Any] = {}


@pytest.fixture(autouse=True, scope="session")
def traced_once() -> Iterator[None]:
    """Tracing takes most of an export: a form of the same weights is traced once."""

    def once(network: DecodingNetwork, metadata: Metadata) -> Any:  # noqa: ANN401
        total = sum(float(value.detach().double().sum()) for value in network.parameters())
        key = f"{metadata} {total}"
        if key not in _TRACED:
            _TRACED[key] = to_onnx(network, metadata)
        return _TRACED[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(onnx_backend, "to_onnx", once)
        patch.setattr(openvino_backend, "to_onnx", once)
        yield


@pytest.fixture(scope="session")
def saved(learnt: Path) -> SavedDetector:
    return load_weights(learnt / "best.safetensors")


@pytest.fixture(scope="session")
def images() -> Images:
    return sample_images(SCENES, "scenes", 8, (128, 128))


@pytest.fixture(scope="session")
def exported(
    saved: SavedDetector, images: Images, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """One file of each backend, form decoded."""
    folder = tmp_path_factory.mktemp("exported")
    specs = [ExportSpec(backend) for backend in BACKENDS]
    return {
        spec.backend: export_detector(saved, spec, spec.file(folder, "w"), images).path
        for spec in specs
    }
