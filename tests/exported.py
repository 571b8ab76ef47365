"""Fixtures of exported graphs, for the tests of what runs them and of what writes them."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from filelock import FileLock
from jaxtyping import UInt8
from numpy import ndarray
from torch import nn

from vision.atomic import replacing
from vision.config import SyntheticSource
from vision.data import sample_images
from vision.export import ExportSpec, export_detector
from vision.extras import require_package
from vision.runtime.graphs import GRAPHS
from vision.weights import SavedDetector, load_weights

__all__ = ["BACKENDS", "Images", "exported", "images", "saved", "trace_once"]

Images = list[UInt8[ndarray, "h w 3"]]
BACKENDS = ["onnx", "openvino"]
SCENES = SyntheticSource(format="synthetic", num_images=8, seed=0, image_size=(128, 128))


def trace_once(folder: Path) -> Callable[..., SimpleNamespace]:
    """What stands for `torch.onnx.export`: a form of the same weights is traced once.

    What this project adds to a traced graph is added each time: metadata, suppression, int8.

    Args:
        folder: Keeps the traced graphs.
    """
    trace = torch.onnx.export

    def once(module: nn.Module, example: tuple[torch.Tensor], **options: Any) -> SimpleNamespace:  # noqa: ANN401
        with torch.no_grad():
            tensors = [*module.parameters(), *module(*example)]
        sums = [value.double().sum().item() for value in tensors]
        settings: Any = ""
        if isinstance(module, GRAPHS["nms"]):  # The rest of the settings is not traced.
            assert module.post_process is not None
            settings = replace(
                module.post_process, nms_iou=0.5, max_detections=1, class_agnostic=False
            )
        key = f"{type(module).__name__} {settings} {example[0].shape} {sums}"
        path = folder / f"{hashlib.sha256(key.encode()).hexdigest()}.onnx"
        with FileLock(f"{path}.lock"):
            if not path.exists():
                program = trace(module, example, **options)
                assert program is not None
                with replacing(path, sync=False) as partial:
                    partial.write_bytes(program.model_proto.SerializeToString())
        return SimpleNamespace(model_proto=require_package("onnx").load(path))

    return once


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
