"""Conversion to LiteRT: tracing, quantisation, and TensorFlow Lite's operator and metadata."""

import io
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy import ndarray
from torch import Tensor, nn

import vision.boxes as box_ops
from vision.choices import Precision
from vision.extras import require_package, silenced
from vision.model import PostProcess, SSDLite, build_post_process
from vision.runtime.backend import Images
from vision.runtime.graphs import GRAPHS, Graph, without_shape_checks
from vision.runtime.litert_metadata import describe_ssd
from vision.runtime.litert_quantise import INPUT, quantise_litert
from vision.runtime.metadata import SINGLE_PIXELS, Metadata

METADATA_FILE = "ssdlite.json"
"""Name of the metadata in the archive at the end of a file."""
LABELS_FILE = "labels.txt"
SSD_OUTPUTS = ("location", "category", "score", "count")
INT8_PIXELS = "int8, 1 x H x W x 3: RGB from 0 to 255 / the input's scale + its zero point"


def to_litert(
    network: SSDLite, metadata: Metadata | None = None, calibration: Images = ()
) -> bytes:
    """Convert a network to one of the forms, with its metadata, for one image at a time.

    Args:
        network: From `vision.model.fuse`.
        metadata: The metadata, which name the form and the precision; None for ``decoded`` in fp32.
        calibration: Images in the form that the graph takes, for int8 and int8full.

    Returns:
        The bytes of a .tflite file.

    Raises:
        ConfigError: If the packages are not installed.
    """
    form = "decoded" if metadata is None else metadata.form
    precision: Precision = "fp32" if metadata is None else metadata.precision
    model = _convert(GRAPHS[form](network, None), in_float=precision == "int8full")
    if precision != "fp32":
        model = quantise_litert(model, precision, calibration)
    if metadata is None:
        return model
    pixels = INT8_PIXELS if precision == "int8full" else SINGLE_PIXELS
    names = SSD_OUTPUTS if form == "ssd" else GRAPHS[form].output_names
    files = {METADATA_FILE: metadata.to_json(INPUT, names, pixels)}
    if form == "ssd":
        post_process = build_post_process(metadata.config.model)
        model = _append_suppression(model, network, post_process, metadata)
        files[LABELS_FILE] = "".join(f"{name}\n" for name in metadata.names)
    return model + _archive(files)


class _Named(nn.Module):
    """A graph whose outputs have names."""

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.inner = graph.traceable()

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return dict(zip(self.inner.output_names, self.inner(images), strict=True))


def _convert(graph: Graph, *, in_float: bool) -> bytes:
    """Trace a graph, and return its bytes; it takes uint8 pixels, or float pixels of 0 to 255."""
    litert_torch = require_package("litert_torch", "litert")
    example = graph.example(1).float() if in_float else graph.example(1)
    with tempfile.TemporaryDirectory(prefix="ssdlite-") as folder:
        path = Path(folder) / "model.tflite"
        with silenced(), without_shape_checks(), torch.no_grad():
            module = _Named(graph).eval()
            litert_torch.convert(module, sample_kwargs={INPUT: example}).export(str(path))
        return path.read_bytes()


def _append_suppression(
    model: bytes, network: SSDLite, post_process: PostProcess, metadata: Metadata
) -> bytes:
    """Add TensorFlow Lite's operator for decoding and suppression, and its metadata.

    The operator suppresses across classes (``use_regular_nms`` false): with true, it loses a class
    when it runs on several threads.
    """
    schema = require_package("ai_edge_litert.schema_py_generated", "litert")
    tree = schema.ModelT.InitFromPackedBuf(model, 0)
    _read_buffers(tree, model)
    (graph,) = tree.subgraphs
    priors = network.priors[:, [1, 0, 3, 2]]  # centre y, centre x, height, width
    anchors = _tensor(schema, tree, "anchors", priors.float().numpy())
    limit = post_process.max_detections
    shapes = ([1, limit, 4], [1, limit], [1, limit], [1])
    outputs = [_tensor(schema, tree, *one) for one in zip(SSD_OUTPUTS, shapes, strict=True)]
    code = schema.OperatorCodeT()
    code.builtinCode, code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM, 32
    code.customCode, code.version = "TFLite_Detection_PostProcess", 1
    tree.operatorCodes.append(code)
    operator = schema.OperatorT()
    operator.opcodeIndex = len(tree.operatorCodes) - 1
    operator.inputs, operator.outputs = [*graph.outputs, anchors], outputs
    operator.customOptions = list(_options(post_process, len(metadata.names)))
    graph.operators.append(operator)
    graph.outputs = outputs
    signature = tree.signatureDefs[0]
    signature.outputs = []
    for name, index in zip(SSD_OUTPUTS, outputs, strict=True):
        entry = schema.TensorMapT()
        entry.name, entry.tensorIndex = name, index
        signature.outputs.append(entry)
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(describe_ssd(metadata, LABELS_FILE), np.uint8)
    tree.buffers.append(buffer)
    entry = schema.MetadataT()
    entry.name, entry.buffer = "TFLITE_METADATA", len(tree.buffers) - 1
    tree.metadata = [*(tree.metadata or []), entry]
    builder = require_package("flatbuffers", "litert").Builder(len(model))
    builder.Finish(tree.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _read_buffers(tree: Any, model: bytes) -> None:  # noqa: ANN401
    """Read the buffers that are stored after the tree, where the quantiser puts large ones."""
    for buffer in tree.buffers:
        if buffer.offset > 1:
            start = buffer.offset
            buffer.data = np.frombuffer(model[start : start + buffer.size], np.uint8)
            buffer.offset = buffer.size = 0


def _tensor(schema: Any, tree: Any, name: str, content: ndarray | list[int]) -> int:  # noqa: ANN401
    """Add a float tensor, with values or with only a shape, and return its index."""
    tensor, buffer = schema.TensorT(), schema.BufferT()
    if isinstance(content, ndarray):
        buffer.data = np.frombuffer(content.astype(np.float32).tobytes(), np.uint8)
        tensor.shape = list(content.shape)
    else:
        tensor.shape = content
    tree.buffers.append(buffer)
    tensor.name, tensor.type = name, schema.TensorType.FLOAT32
    tensor.buffer = len(tree.buffers) - 1
    tensors = tree.subgraphs[0].tensors
    tensors.append(tensor)
    return len(tensors) - 1


def _options(post_process: PostProcess, num_classes: int) -> bytes:
    """The operator's settings as a FlexBuffer."""
    builder = require_package("flatbuffers.flexbuffers", "litert").Builder()
    with builder.Map():
        builder.Int("max_detections", post_process.max_detections)
        builder.Int("max_classes_per_detection", 1)
        builder.Int("num_classes", num_classes)
        builder.Bool("use_regular_nms", value=False)
        builder.Float("nms_score_threshold", post_process.score_threshold)
        builder.Float("nms_iou_threshold", post_process.nms_iou)
        for side in "xy":
            builder.Float(f"{side}_scale", 1 / box_ops.CENTRE_VARIANCE)
        for side in "wh":
            builder.Float(f"{side}_scale", 1 / box_ops.SIZE_VARIANCE)
    return bytes(builder.Finish())


def _archive(files: dict[str, str]) -> bytes:
    """Return a ZIP archive of text files, to be appended to a .tflite file."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name), text)
    return stream.getvalue()
