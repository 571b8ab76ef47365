"""OpenVINO: graphs from ONNX ones, and running them."""

# N batch

import threading
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped
from numpy import ndarray

from vision.errors import ConfigError, WeightsError
from vision.runtime.extras import require_package
from vision.runtime.metadata import Metadata
from vision.runtime.sessions import Precision

__all__ = ["OpenVinoRunner", "openvino_metadata", "read_openvino", "to_openvino"]

SECTION = "ssdlite"
_HINTS = {"fp32": "f32", "int8": "f32", "bf16": "bf16", "fp16": "f16"}
"""What layers that are not quantised compute in."""


_LOCK = threading.Lock()
_CORES: list[Any] = []


def _core() -> Any:  # noqa: ANN401
    """The one `openvino.Core` of this process, kept to its end.

    On hardware with AMX each core's CPU plugin gives signals a stack of its own, and on going puts
    back the one it found. Two that do not go in the reverse of the order in which they came leave
    one that is freed, and the next signal (Ctrl-C, the end of a child) kills the process.
    """
    with _LOCK:
        if not _CORES:
            _CORES.append(require_package("openvino").Core())
        return _CORES[0]


def to_openvino(onnx_file: Path) -> Any:  # noqa: ANN401
    """An `openvino.Model` of an ONNX graph that `vision.runtime.onnx.to_onnx` made.

    Raises:
        ConfigError: If OpenVINO is not installed.
    """
    model = require_package("openvino").convert_model(onnx_file)
    for prop in require_package("onnx").load(onnx_file, load_external_data=False).metadata_props:
        model.set_rt_info(prop.value, [SECTION, prop.key])
    return model


def read_openvino(path: Path) -> Any:  # noqa: ANN401
    """The `openvino.Model` of an .xml file and the .bin file beside it.

    Raises:
        ConfigError: If OpenVINO is not installed.
        WeightsError: If a file is missing or damaged.
    """
    core = _core()
    for part in (path, path.with_suffix(".bin")):
        if not part.is_file():
            raise WeightsError(f"weights {part} do not exist; OpenVINO needs the .xml and the .bin")
    try:
        return core.read_model(path)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise WeightsError(f"weights {path} cannot be read by OpenVINO: {reason}") from error


def openvino_metadata(model: Any, where: str) -> Metadata:  # noqa: ANN401
    """The metadata of a model.

    Raises:
        WeightsError: If there are none of ours.
    """
    keys = ("format", "form", "precision", "names", "config", "training")
    strings = {
        key: str(model.get_rt_info([SECTION, key]).astype(str))
        for key in keys
        if model.has_rt_info([SECTION, key])
    }
    return Metadata.from_strings(strings, where)


class OpenVinoRunner:
    """Runs a graph in OpenVINO, image by image.

    Args:
        model: An `openvino.Model`; its batch is set to one.
        device: ``cpu``, ``gpu`` or ``npu``.
        precision: What layers compute in; fp32 is really that, also where the hardware has bf16.
        threads: For one call; None for all cores.
        streams: Calls that may run at once, from several threads.

    Raises:
        ConfigError: If there is no such device.
    """

    def __init__(
        self,
        model: Any,  # noqa: ANN401
        *,
        device: str = "cpu",
        precision: Precision = "fp32",
        threads: int | None = None,
        streams: int = 1,
    ) -> None:
        model.reshape([1, *list(model.inputs[0].get_partial_shape())[1:]])
        settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": _HINTS[precision]}
        if device == "cpu":
            settings |= {"NUM_STREAMS": streams, "INFERENCE_NUM_THREADS": (threads or 0) * streams}
        try:
            self._compiled = _core().compile_model(model, device.upper(), settings)
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1]
            raise ConfigError(
                f"device {device}, precision {precision} cannot be used by OpenVINO: {reason}"
            ) from error
        self._of_thread = threading.local()

    def __call__(self, images: Shaped[ndarray, "N ..."]) -> list[ndarray]:
        """The graph's outputs."""
        if not hasattr(self._of_thread, "request"):
            self._of_thread.request = self._compiled.create_infer_request()
        answers = [self._run(images[row : row + 1]) for row in range(len(images))]
        return [np.concatenate(column) for column in zip(*answers, strict=True)]

    def _run(self, image: Shaped[ndarray, "1 ..."]) -> list[ndarray]:
        request = self._of_thread.request
        request.infer([image], share_inputs=True)
        # The tensors are the request's own, and change at its next run.
        return [
            request.get_output_tensor(i).data.copy() for i in range(len(self._compiled.outputs))
        ]
