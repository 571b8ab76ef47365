"""LiteRT, formerly TensorFlow Lite: .tflite files for phones and accelerators."""

# N batch

import io
import threading
import zipfile
import zlib
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Shaped
from numpy import ndarray

from vision.choices import Form, Precision
from vision.errors import ConfigError, WeightsError
from vision.extras import require_package
from vision.files import read_bytes
from vision.model import SSDLite
from vision.runtime.backend import Images, Precisions, RuntimeOptions
from vision.runtime.fork import OwnProcess
from vision.runtime.litert_graph import METADATA_FILE, to_litert
from vision.runtime.metadata import Metadata

_NO_ARCHIVE = (zipfile.BadZipFile, KeyError, RuntimeError, EOFError, zlib.error)
"""What `zipfile` raises for bytes that are no archive or a damaged archive."""


class LiteRtBackend:
    """See `vision.runtime.backend.GraphBackend`."""

    title: ClassVar[str] = "LiteRT"
    suffix: ClassVar[str] = ".tflite"
    forms: ClassVar[tuple[Form, ...]] = ("raw", "decoded", "ssd")
    precisions: ClassVar[tuple[Precision, ...]] = ("fp32",)
    file_precisions: ClassVar[Precisions] = {
        name: (name,) for name in ("fp32", "int8", "int8w", "int8full")
    }
    benchmarked: ClassVar[Precisions] = {
        "fp32": ("fp32",),
        "int8": ("int8",),
        "int8w": ("int8w",),
    }

    def build(self, network: SSDLite, options: RuntimeOptions) -> "LiteRtRunner":
        """Return the runner of a graph that is kept in memory."""
        return LiteRtRunner(to_litert(network), options)

    def write(self, path: Path, network: SSDLite, metadata: Metadata, calibration: Images) -> None:
        """Write the .tflite file and, for the form ``ssd``, its class names beside it."""
        path.write_bytes(to_litert(network, metadata, calibration))
        if metadata.form == "ssd":
            names = "".join(f"{name}\n" for name in metadata.names)
            path.with_suffix(".txt").write_text(names, encoding="utf-8")

    def read_metadata(self, path: Path) -> Metadata:
        """Read the metadata of a .tflite file, from the archive at its end."""
        try:
            with zipfile.ZipFile(io.BytesIO(read_bytes(path))) as archive:
                text = archive.read(METADATA_FILE)
        except OSError as error:
            raise WeightsError(f"weights {path} cannot be read: {error.strerror}") from error
        except _NO_ARCHIVE as error:
            raise WeightsError(f"weights {path} were not written by ssdlite export") from error
        return Metadata.from_json(text, f"weights {path}")

    def open(self, path: Path, options: RuntimeOptions) -> "LiteRtRunner":
        """Make a .tflite file ready to run."""
        return LiteRtRunner(read_bytes(path), options)


class LiteRtRunner:
    """Runs a graph in LiteRT on the CPU, image by image.

    Args:
        model: The bytes of a .tflite file.
        options: Device and number of threads. Each thread that calls it gets an interpreter.

    Raises:
        ConfigError: If LiteRT is not installed, or the device is not the CPU.
        WeightsError: If the bytes are not a model.
    """

    def __init__(self, model: bytes, options: RuntimeOptions) -> None:
        if options.graph_device != "cpu":
            raise ConfigError(f"device {options.graph_device} cannot be used by LiteRT; use cpu")
        self._interpreter = require_package("ai_edge_litert.interpreter", "litert").Interpreter
        self._model, self._options = model, options
        self._process = OwnProcess(LiteRtBackend.title, options.threads)
        self._of_thread = threading.local()
        self._open()

    def _open(self) -> Any:  # noqa: ANN401
        """Return the calling thread's interpreter."""
        if not hasattr(self._of_thread, "interpreter"):
            try:
                interpreter = self._interpreter(
                    model_content=self._model, num_threads=self._options.threads
                )
                interpreter.allocate_tensors()
            except (ValueError, RuntimeError) as error:
                raise WeightsError(f"the weights cannot be read by LiteRT: {error}") from error
            self._of_thread.interpreter = interpreter
        return self._of_thread.interpreter

    def __call__(self, images: Shaped[ndarray, "N ..."]) -> list[ndarray]:
        """Run the graph; return its outputs, with 8-bit outputs converted to float."""
        self._process.check()
        interpreter = self._open()
        outputs = [_run(interpreter, images[row : row + 1]) for row in range(len(images))]
        return [np.concatenate(column) for column in zip(*outputs, strict=True)]

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the file's bytes."""
        return LiteRtRunner, (self._model, self._options)


def _run(interpreter: Any, image: Shaped[ndarray, "1 ..."]) -> list[ndarray]:  # noqa: ANN401
    (taken,) = interpreter.get_input_details()
    if taken["dtype"] == np.int8:
        scale, zero = taken["quantization"]
        image = np.clip(np.rint(image / scale) + zero, -128, 127).astype(np.int8)
    interpreter.set_tensor(taken["index"], image)
    interpreter.invoke()
    outputs = interpreter.get_output_details()
    return [_as_float(interpreter.get_tensor(one["index"]), one) for one in outputs]


def _as_float(values: ndarray, details: dict[str, Any]) -> ndarray:
    if values.dtype != np.int8:
        return values
    scale, zero = details["quantization"]
    numbers: ndarray = (values.astype(np.float32) - zero) * np.float32(scale)
    return numbers
