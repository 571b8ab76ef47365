"""TensorFlow's Object Detection API: SSDLite-MobileNetV2 as a frozen graph, checkpoint or JSON.

The names are those of ``ssd_mobilenet_v2_feature_extractor.py`` and slim's ``mobilenet_v2.py`` in
tensorflow/models, the constants those of ``ssdlite_mobilenet_v2_coco.config``.
"""

import glob
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vision.convert.layout import CheckpointLayout, Role
from vision.convert.tensorflow_js import check_count, read_graph_model
from vision.errors import ConfigError, WeightsError, first_line
from vision.extras import require_package
from vision.files import check_regular, read_bytes
from vision.model.variants import VARIANTS

BACKBONE = "FeatureExtractor/MobilenetV2"
VARIABLES = re.compile(r"(FeatureExtractor/MobilenetV2|BoxPredictor_\d+)/.*/(.*)")
LEAVES = frozenset(
    {"weights", "depthwise_weights", "biases", "gamma", "beta", "moving_mean", "moving_variance"}
)
AVERAGE = "/ExponentialMovingAverage"


def _conv(role: Role) -> str:
    if role.part == "stem":
        return f"{BACKBONE}/Conv"
    if role.part == "last":
        return f"{BACKBONE}/Conv_1"
    if role.part == "block":
        block = "expanded_conv" if role.index == 1 else f"expanded_conv_{role.index - 1}"
        return f"{BACKBONE}/{block}/{role.step}"
    if role.part == "extra":
        return f"{BACKBONE}/extra_{role.index}/{role.step}"
    kind = "ClassPredictor" if role.part == "class_head" else "BoxEncodingPredictor"
    suffix = "_depthwise" if role.step == "depthwise" else ""
    return f"BoxPredictor_{role.index}/{kind}{suffix}"


def _weight(key: str, role: Role) -> str:
    return f"{key}/depthwise_weights" if role.step == "depthwise" else f"{key}/weights"


TENSORFLOW = CheckpointLayout(
    name="tensorflow",
    preset="tensorflow",
    image_size=(300, 300),
    conv=_conv,
    norm=lambda conv: f"{conv}/BatchNorm",
    weight=_weight,
    bias="/biases",
    norm_parts=("/gamma", "/beta", "/moving_mean", "/moving_variance"),
    # Its six priors have the ratios 1, 2, 1/2, 3, 1/3; the larger square, our second, is last.
    prior_order={6: (0, 5, 1, 2, 3, 4)},
    box_order=(1, 0, 3, 2),  # from y, x, height, width
    # It considers every candidate; a limit of 2000 changes at most the last of 100 detections.
    postprocess={
        "score_threshold": 1e-8,
        "nms_iou": 0.6,
        "max_candidates": 2000,
        "max_detections": 100,
    },
    licence="Apache-2.0 (TensorFlow Object Detection API), as far as its authors trained it",
)


def read_tensorflow(path: Path) -> dict[str, Tensor]:
    """Read the variables of a frozen graph, a TensorFlow.js graph model, or a TF1 checkpoint.

    The suffix decides: ``.pb``, ``.json``, or any other name, which is a checkpoint's prefix. Extra
    layers, whose original names contain their widths, are renamed ``extra_<index>/<step>``.

    Raises:
        WeightsError: If the file cannot be read, or a checkpoint is given without TensorFlow.
    """
    if path.suffix.lower() == ".json":
        arrays = read_graph_model(path, VARIANTS["tensorflow"].norm_eps)
    else:
        arrays = _graph(path) if path.suffix.lower() == ".pb" else _checkpoint(path)
    tensors = {}
    for name, array in arrays.items():
        found = VARIABLES.fullmatch(name)
        if found is None or found[2] not in LEAVES or array.dtype.kind != "f":
            continue
        value = torch.from_numpy(np.array(array, np.float32))
        if found[2].endswith("weights") and value.ndim != 4:
            shape = tuple(value.shape)
            raise WeightsError(f"{path}: {name} has the shape {shape}, expected four dimensions")
        if found[2] == "weights":
            value = value.permute(3, 2, 0, 1)
        elif found[2] == "depthwise_weights":
            value = value.permute(2, 3, 0, 1)
        tensors[_plain(name)] = value.contiguous()
    if not tensors:
        raise WeightsError(
            f"{path} holds no variable of {BACKBONE}; expected a graph or checkpoint of the Object"
            " Detection API's ssdlite_mobilenet_v2"
        )
    return tensors


def has_folded_norms(tensors: Mapping[str, Tensor]) -> bool:
    """Return whether BatchNorms were folded into convolutions: their variances are all 1 then."""
    variances = (value for key, value in tensors.items() if key.endswith("/moving_variance"))
    return any(bool((value == 1).all()) for value in variances)


def _plain(name: str) -> str:
    """Remove the widths from an extra layer's name; leave other names as they are."""
    patterns = (
        (r"layer_19_1_Conv2d_(\d+)_1x1_\d+/", "reduce"),
        (r"layer_19_2_Conv2d_(\d+)_3x3_s2_\d+_depthwise/", "depthwise"),
        (r"layer_19_2_Conv2d_(\d+)_3x3_s2_\d+/", "project"),
    )
    for pattern, step in patterns:
        name = re.sub(pattern, lambda m, s=step: f"extra_{int(m[1]) - 2}/{s}/", name)  # type: ignore[misc]
    return name


def _graph(path: Path) -> dict[str, np.ndarray]:
    """Read the constants of a frozen graph."""
    from google.protobuf.message import DecodeError  # noqa: PLC0415
    from tensorboard.compat.proto.graph_pb2 import GraphDef  # noqa: PLC0415
    from tensorboard.util.tensor_util import make_ndarray  # noqa: PLC0415

    graph = GraphDef()
    try:
        graph.ParseFromString(read_bytes(path))
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror}") from error
    except DecodeError as error:
        raise WeightsError(f"{path} is not a frozen TensorFlow graph, or is truncated") from error
    constants = {
        node.name: node.attr["value"].tensor
        for node in graph.node
        if node.op == "Const" and VARIABLES.fullmatch(node.name)
    }
    # A constant may be a single number that is repeated to fill a huge shape.
    check_count(path, sum(map(_count, constants.values())))
    arrays, name = dict[str, np.ndarray](), ""
    try:
        for name, tensor in constants.items():
            arrays[name] = make_ndarray(tensor)
    except Exception as error:  # TensorBoard raises almost any exception for a damaged tensor
        reason = str(error).partition("\n")[0]
        raise WeightsError(f"{path}: constant {name} is damaged: {reason}") from error
    return arrays


def _count(tensor: Any) -> int:  # noqa: ANN401
    """Return the number of values that the shape of a ``TensorProto`` states, true or not."""
    return math.prod(max(dim.size, 0) for dim in tensor.tensor_shape.dim)


def _checkpoint(path: Path) -> dict[str, np.ndarray]:
    """Read the variables of a checkpoint, or their moving averages where it has them."""
    index = path.with_name(f"{path.name}.index") if path.name else path
    try:
        for part in (index, *path.parent.glob(f"{glob.escape(path.name)}.data-*")):
            check_regular(part)
    except OSError as error:
        raise WeightsError(
            f"{path} is not a frozen graph (.pb), a graph model (model.json) or a checkpoint, which"
            f" is named by its prefix, such as model.ckpt: {error.filename}: {error.strerror}"
        ) from error
    try:
        tensorflow = require_package("tensorflow", "tensorflow")
    except ConfigError as error:
        raise WeightsError(
            f"a TF1 checkpoint needs TensorFlow, a frozen graph (.pb) does not: {error}"
        ) from error
    try:
        reader = tensorflow.train.load_checkpoint(str(path))
        names = set(reader.get_variable_to_shape_map())
        plain = {name for name in names if VARIABLES.fullmatch(name)}
        averaged = {n: n + AVERAGE if n + AVERAGE in names else n for n in plain}
        return {name: reader.get_tensor(key) for name, key in averaged.items()}
    except (tensorflow.errors.OpError, LookupError, RuntimeError, ValueError) as error:
        raise WeightsError(f"checkpoint {path} cannot be read: {first_line(error)}") from error
