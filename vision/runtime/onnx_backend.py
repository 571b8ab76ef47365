"""ONNX files, run by ONNX Runtime."""

from pathlib import Path
from typing import ClassVar

from vision.choices import Form, Precision
from vision.model import SSDLite
from vision.runtime.backend import Images, Precisions, RuntimeOptions
from vision.runtime.metadata import Metadata
from vision.runtime.onnx_graph import OnnxRunner, to_onnx
from vision.runtime.quantise import quantise_onnx, sensitive_nodes


class OnnxBackend:
    """See `vision.runtime.backend.GraphBackend`."""

    title: ClassVar[str] = "ONNX Runtime"
    suffix: ClassVar[str] = ".onnx"
    forms: ClassVar[tuple[Form, ...]] = ("raw", "decoded", "nms", "jetson")
    precisions: ClassVar[tuple[Precision, ...]] = ("fp32",)
    file_precisions: ClassVar[Precisions] = {
        "fp32": ("fp32",),
        "fp16": ("fp32", "fp16"),
        "int8": ("int8",),
    }
    benchmarked: ClassVar[Precisions] = {"fp32": ("fp32",), "int8": ("int8",)}

    def build(self, network: SSDLite, options: RuntimeOptions) -> OnnxRunner:
        """Return the runner of a graph that is kept in memory."""
        data = to_onnx(network).SerializeToString()
        return OnnxRunner(data, options.graph_device, options.threads)

    def write(self, path: Path, network: SSDLite, metadata: Metadata, calibration: Images) -> None:
        """Write one .onnx file."""
        model = to_onnx(network, metadata)
        if calibration:
            model = quantise_onnx(model, calibration, sensitive_nodes(model, network))
        path.write_bytes(model.SerializeToString())

    def read_metadata(self, path: Path) -> Metadata:
        """Read the metadata of an .onnx file, without optimising its graph."""
        runner, where = OnnxRunner(path, optimised=False), f"weights {path}"
        metadata = Metadata.from_strings(runner.strings, where)
        metadata.check_graph(runner.inputs, runner.outputs, where)
        return metadata

    def open(self, path: Path, options: RuntimeOptions) -> OnnxRunner:
        """Make an .onnx file ready to run."""
        return OnnxRunner(path, options.graph_device, options.threads)
