"""OpenVINO: .xml and .bin files made from ONNX graphs."""

# N batch

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar
from xml.etree.ElementTree import ParseError

import numpy as np
from defusedxml import DefusedXmlException
from jaxtyping import Shaped
from numpy import ndarray

from vision.choices import Form, Precision
from vision.errors import ConfigError, WeightsError
from vision.extras import require_package, silenced
from vision.files import check_regular
from vision.model import SSDLite
from vision.progress import progress
from vision.runtime.backend import Images, Precisions, RuntimeOptions
from vision.runtime.fork import IN_MEMORY, OwnProcess
from vision.runtime.metadata import Metadata, Shapes
from vision.runtime.onnx_graph import temporary_file, to_onnx
from vision.runtime.quantise import sensitive_nodes
from vision.runtime.xml_depth import check_depth
from vision.weights import find_weights

SECTION = "ssdlite"
"""Section of the file that holds the metadata."""
_HINTS = {"fp32": "f32", "int8": "f32", "bf16": "bf16", "fp16": "f16"}
"""OpenVINO's name for the precision of the layers that are not quantised."""

_LOCK = threading.Lock()
_CORES: list[Any] = []


def _core() -> Any:  # noqa: ANN401
    """The only `openvino.Core` of this process, kept until the process ends.

    On hardware with AMX, each core's CPU plugin installs an alternate signal stack, and restores
    the previous stack when it is destroyed. If two are not destroyed in reverse order, a freed
    stack stays installed, and the next signal (Ctrl-C, a child's exit) kills the process.
    """
    with _LOCK:
        if not _CORES:
            _CORES.append(require_package("openvino").Core())
        return _CORES[0]


class OpenVinoBackend:
    """See `vision.runtime.backend.GraphBackend`."""

    title: ClassVar[str] = "OpenVINO"
    suffix: ClassVar[str] = ".xml"
    forms: ClassVar[tuple[Form, ...]] = ("raw", "decoded", "nms", "jetson", "frigate")
    precisions: ClassVar[tuple[Precision, ...]] = ("fp32", "bf16", "fp16")
    file_precisions: ClassVar[Precisions] = {
        "fp32": precisions,
        "fp16": precisions,
        "int8": ("int8",),
    }
    benchmarked: ClassVar[Precisions] = {"fp32": ("fp32", "bf16"), "int8": ("int8",)}

    def build(self, network: SSDLite, options: RuntimeOptions) -> "OpenVinoRunner":
        """Return the runner of a graph that is kept in memory."""
        return OpenVinoRunner(_convert(to_onnx(network)), options)

    def write(self, path: Path, network: SSDLite, metadata: Metadata, calibration: Images) -> None:
        """Write the .xml file of the graph and the .bin file of its weights."""
        graph = to_onnx(network, metadata)
        model = _convert(graph)
        if metadata.form == "frigate":
            model = _as_frigate_reads(model)
            lines = "".join(f"{index}  {name}\n" for index, name in enumerate(metadata.names))
            path.with_suffix(".txt").write_text(lines, encoding="utf-8")
        if calibration:
            model = _quantise(model, calibration, sensitive_nodes(graph, network))
        try:
            is_half = metadata.precision == "fp16"
            require_package("openvino").save_model(model, path, compress_to_fp16=is_half)
        except RuntimeError as error:
            raise WeightsError(f"{path.name} cannot be written: {_reason(error)}") from error

    def read_metadata(self, path: Path) -> Metadata:
        """Read the metadata of an .xml file."""
        model = _read(path)
        keys = ("format", "form", "precision", "names", "config", "training")
        strings = {
            key: str(model.get_rt_info([SECTION, key]).astype(str))
            for key in keys
            if model.has_rt_info([SECTION, key])
        }
        where = f"weights {path}"
        metadata = Metadata.from_strings(strings, where)
        metadata.check_graph(_shapes(model.inputs), _shapes(model.outputs), where)
        return metadata

    def open(self, path: Path, options: RuntimeOptions) -> "OpenVinoRunner":
        """Make an .xml file and the .bin file beside it ready to run."""
        return OpenVinoRunner(_read(path), options, path.resolve())


def _read(path: Path) -> Any:  # noqa: ANN401
    """Read a file as an `openvino.Model`."""
    core = _core()
    find_weights(path)
    try:
        check_regular(path.with_suffix(".bin"))
    except OSError as error:
        raise WeightsError(
            f"weights {path.with_suffix('.bin')} cannot be read: {error.strerror}; OpenVINO needs"
            " the .xml and the .bin"
        ) from error
    try:
        check_depth(path)
        return core.read_model(path)
    except (OSError, ParseError, DefusedXmlException, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or _reason(error)
        raise WeightsError(f"weights {path} cannot be read by OpenVINO: {reason}") from error


def _shapes(ports: Any) -> Shapes:  # noqa: ANN401
    return [
        [side.get_length() if side.is_static else None for side in shape]
        for shape in (port.get_partial_shape() for port in ports)
        if shape.rank.is_static
    ]


def _convert(graph: Any) -> Any:  # noqa: ANN401
    """Convert an `onnx.ModelProto` with its metadata to an `openvino.Model`."""
    with temporary_file(graph) as path:
        model = require_package("openvino").convert_model(path)
    for prop in graph.metadata_props:
        model.set_rt_info(prop.value, [SECTION, prop.key])
    return model


def _as_frigate_reads(model: Any) -> Any:  # noqa: ANN401
    """Convert a model of the form ``nms`` to take BGR pixels and return one tensor (1, 1, D, 7).

    Its rows are the image, label, score, and ``xyxy`` as fractions, highest score first; unfilled
    rows have the score 0.
    """
    openvino = require_package("openvino")
    ops = require_package("openvino.opset13")
    properties = model.get_rt_info(SECTION)
    model.reshape([1, *list(model.inputs[0].get_partial_shape())[1:]])
    boxes, scores, labels = (
        model.output(name).get_node().input_value(0) for name in ("boxes", "scores", "labels")
    )
    numbers = ops.convert(labels, "f32")
    last = ops.constant([-1])
    columns = [
        ops.unsqueeze(one, last) for one in (ops.multiply(scores, np.float32(0)), numbers, scores)
    ]
    rows = ops.unsqueeze(ops.concat([*columns, boxes], -1), ops.constant([0]))
    rows.set_friendly_name("detections")
    rows.output(0).get_tensor().set_names({"detections"})
    named = openvino.Model([rows], model.get_parameters(), "ssdlite")
    steps = openvino.preprocess.PrePostProcessor(named)
    color, layout = openvino.preprocess.ColorFormat, openvino.Layout("NHWC")
    steps.input().tensor().set_color_format(color.BGR).set_layout(layout)
    steps.input().preprocess().convert_color(color.RGB)
    steps.input().model().set_layout(layout)
    built = steps.build()
    built.set_rt_info(properties, SECTION)
    return built


def _quantise(model: Any, calibration: Images, in_float: Sequence[str]) -> Any:  # noqa: ANN401
    """Quantise an `openvino.Model` with NNCF; decoding stays in float.

    Weights use half of int8's range, so that processors without VNNI can add pairs of products in
    16 bits: there, a voc.mAP50 of .762 became .757 with the whole range, and .761 with half of it.

    Args:
        model: The model to quantise.
        calibration: Images in the form that the graph takes.
        in_float: `sensitive_nodes` of the ONNX graph from which the model was converted.
    """
    nncf = require_package("nncf")
    # OpenVINO splits a convolution with a bias into two operations.
    names = [op.get_friendly_name() for op in model.get_ordered_ops()]
    ignored = [name for name in names if name.removesuffix("/WithoutBiases") in in_float]
    bar = progress(None, "calibrate", len(calibration), unit=" images")

    def count(image: ndarray) -> ndarray:
        bar.update()
        return image

    with bar, silenced():
        return nncf.quantize(
            model,
            nncf.Dataset(list(calibration), count),
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(calibration),
            fast_bias_correction=False,
            advanced_parameters=nncf.AdvancedQuantizationParameters(
                overflow_fix=nncf.OverflowFix.ENABLE
            ),
            ignored_scope=nncf.IgnoredScope(names=ignored, validate=False),
        )


def _reason(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]


class OpenVinoRunner:
    """Runs a graph in OpenVINO, image by image.

    Args:
        model: An `openvino.Model`; its batch is set to one.
        options: Device, threads, streams, and the precision of the layers that are not quantised:
            None for fp32, even on hardware with bf16, where OpenVINO's own default is bf16.
        path: The file from which the model was read, if any.

    Raises:
        ConfigError: If there is no such device, or it does not compute in this precision.
    """

    def __init__(
        self,
        model: Any,  # noqa: ANN401
        options: RuntimeOptions,
        path: Path | None = None,
    ) -> None:
        self._path, self._options = path, options
        is_single = options.threads == options.streams == 1
        self._process = OwnProcess("OpenVINO", 1 if is_single else None)
        model.reshape([1, *list(model.inputs[0].get_partial_shape())[1:]])
        device, precision = options.graph_device, options.precision or "fp32"
        settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": _HINTS[precision]}
        if device == "cpu":
            threads = (options.threads or 0) * options.streams
            settings |= {"NUM_STREAMS": options.streams, "INFERENCE_NUM_THREADS": threads}
        try:
            self._compiled = _core().compile_model(model, device.upper(), settings)
        except RuntimeError as error:
            raise ConfigError(
                f"device {device}, precision {precision} cannot be used by OpenVINO:"
                f" {_reason(error)}"
            ) from error
        self._of_thread = threading.local()

    def __call__(self, images: Shaped[ndarray, "N ..."]) -> list[ndarray]:
        """Run the graph; return its outputs."""
        self._process.check()
        if not hasattr(self._of_thread, "request"):
            self._of_thread.request = self._compiled.create_infer_request()
        outputs = [self._run(images[row : row + 1]) for row in range(len(images))]
        return [np.concatenate(column) for column in zip(*outputs, strict=True)]

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the path: the file is opened again where it is unpickled."""
        if self._path is None:
            raise ConfigError(IN_MEMORY)
        return OpenVinoBackend().open, (self._path, self._options)

    def _run(self, image: Shaped[ndarray, "1 ..."]) -> list[ndarray]:
        request = self._of_thread.request
        request.infer([image], share_inputs=True)
        # The tensors belong to the request, and its next run overwrites them.
        return [
            request.get_output_tensor(i).data.copy() for i in range(len(self._compiled.outputs))
        ]
