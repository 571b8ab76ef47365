"""Non-maximum suppression as nodes of an ONNX graph, which PyTorch's exporter does not write."""

# N images, D detections of an image

from typing import Any

import numpy as np
from jaxtyping import Shaped
from numpy import ndarray

from vision.errors import ConfigError
from vision.model import PostProcess
from vision.runtime.extras import require_package

__all__ = ["append_suppression"]


def append_suppression(model: Any, post_process: PostProcess, num_classes: int) -> None:  # noqa: ANN401
    """Add suppression to a graph that outputs the boxes before it.

    The graph then gives, for D = ``max_detections`` rows an image, highest score first:
    ``boxes`` (N, D, 4), ``xyxy`` as fractions of the image's sides and clipped to it;
    ``scores`` (N, D); ``labels`` (N, D), int64; and ``num_detections`` (N,), int64, the
    number of rows that are filled: the others have the score 0.

    Args:
        model: An `onnx.ModelProto` of the form ``nms``, as `build_graph` names its outputs.
        post_process: Its settings.
        num_classes: Number of classes.

    Raises:
        ConfigError: If ONNX has no operator for the suppression.
    """
    if post_process.suppression != "nms":
        raise ConfigError(
            "form nms: soft_nms has no operator in ONNX; export form decoded, or set"
            " model.postprocess.suppression=nms"
        )
    onnx = require_package("onnx")
    nodes = _Nodes()
    graph = model.graph
    candidates = graph.output[1].type.tensor_type.shape.dim[1].dim_value
    kept = min(post_process.max_detections, candidates)
    _write(nodes, post_process, num_classes, kept)
    graph.node.extend(nodes.nodes)
    graph.initializer.extend(nodes.constants)
    batch = graph.input[0].type.tensor_type.shape.dim[0].dim_param
    float32, int64 = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64
    outputs = {
        "num_detections": (int64, [batch]),
        "boxes": (float32, [batch, kept, 4]),
        "scores": (float32, [batch, kept]),
        "labels": (int64, [batch, kept]),
    }
    del graph.output[:]
    graph.output.extend(
        onnx.helper.make_tensor_value_info(name, *kind) for name, kind in outputs.items()
    )
    onnx.checker.check_model(model)


class _Nodes:
    """Nodes and constants of a graph in the making."""

    def __init__(self) -> None:
        self.onnx = require_package("onnx")
        self.nodes: list[object] = []
        self.constants: list[object] = []

    def constant(self, name: str, value: Shaped[ndarray, "..."]) -> str:
        """A tensor by name."""
        self.constants.append(self.onnx.numpy_helper.from_array(value, name))
        return name

    def add(self, operator: str, inputs: list[str], *outputs: str, **attributes: object) -> str:
        """A node; the name of its first output."""
        names = list(outputs)
        self.nodes.append(self.onnx.helper.make_node(operator, inputs, names, **attributes))
        return names[0]


def _write(nodes: _Nodes, post_process: PostProcess, num_classes: int, num_kept: int) -> None:
    boxes, scores, labels = "candidate_boxes", "candidate_scores", "candidate_labels"
    zero = nodes.constant("zero", np.array(0, np.float32))
    one = nodes.constant("one", np.array(1, np.float32))
    first, last = (nodes.constant(f"axis_{i}", np.array([i], np.int64)) for i in (1, 2))
    clipped = nodes.add("Clip", [boxes, zero, one], "clipped_boxes")
    # A box outside the image has no area left.
    halves = nodes.constant("halves", np.array([2, 2], np.int64))
    nodes.add("Split", [clipped, halves], "top_left", "bottom_right", axis=2)
    sides = nodes.add("Sub", ["bottom_right", "top_left"], "sides")
    shortest = nodes.add("ReduceMin", [sides, last], "shortest", keepdims=0)
    nodes.add("Greater", [shortest, zero], "has_area")
    inside = nodes.add("Where", ["has_area", scores, zero], "inside_scores")
    scores = nodes.add("Unsqueeze", [inside, first], "each_scores")
    if not post_process.class_agnostic:
        depth = nodes.constant("depth", np.array([num_classes], np.int64))
        off_on = nodes.constant("off_on", np.array([0, 1], np.float32))
        nodes.add("OneHot", [labels, depth, off_on], "is_class", axis=1)
        scores = nodes.add("Mul", [scores, "is_class"], "class_scores")
    limit = nodes.constant("limit", np.array([num_kept], np.int64))
    overlap = nodes.constant("overlap", np.array([post_process.nms_iou], np.float32))
    threshold = nodes.constant("threshold", np.array([post_process.score_threshold], np.float32))
    compared = clipped if post_process.clip_before_nms else boxes
    nodes.add("NonMaxSuppression", [compared, scores, limit, overlap, threshold], "selected")
    _gather(nodes, scores, clipped, labels, limit)


def _gather(nodes: _Nodes, scores: str, boxes: str, labels: str, limit: str) -> None:
    """A rectangle of the best kept candidates of each image."""
    shape = nodes.add("Shape", [scores], "scores_shape")
    blank = nodes.add("ConstantOfShape", [shape], "blank")
    values = nodes.add("GatherND", [scores, "selected"], "selected_scores")
    nodes.add("ScatterND", [blank, "selected", values], "kept_scores")
    nodes.add("ReduceMax", ["kept_scores", "axis_1"], "flat_scores", keepdims=0)
    nodes.add("TopK", ["flat_scores", limit], "scores", "places", axis=1)
    nodes.add("GatherElements", [labels, "places"], "labels", axis=1)
    nodes.add("Unsqueeze", ["places", "axis_2"], "rows")
    corners = nodes.constant("corners", np.array([1, 1, 4], np.int64))
    nodes.add("Expand", ["rows", corners], "box_rows")
    nodes.add("GatherElements", [boxes, "box_rows"], "boxes", axis=1)
    nodes.add("Greater", ["scores", "zero"], "is_kept")
    nodes.add("Cast", ["is_kept"], "ones", to=7)
    nodes.add("ReduceSum", ["ones", "axis_1"], "num_detections", keepdims=0)
