"""Non-maximum suppression as nodes of an ONNX graph, which PyTorch's exporter does not write."""

from typing import Any

from vision.errors import ConfigError
from vision.extras import require_package
from vision.model import PostProcess

# N images, K candidates, D detections of an image
SUPPRESSION = """
suppression (float[N, K, 4] candidate_boxes, float[N, K] candidate_scores,
             int64[N, K] candidate_labels)
=> (int64[{N}] num_detections, float[{N}, {D}, 4] boxes, float[{N}, {D}] scores,
    int64[{N}, {D}] labels)
<float zero = {{0.0}}, float one = {{1.0}}, int64[1] axis_1 = {{1}}, int64[1] axis_2 = {{2}},
 int64[2] halves = {{2, 2}}, int64[1] depth = {{{num_classes}}}, float[2] off_on = {{0.0, 1.0}},
 int64[1] limit = {{{D}}}, float[1] overlap = {{{nms_iou}}}, float[1] threshold = {{{threshold}}},
 int64[3] corners = {{1, 1, 4}}>
{{
    # A box outside the image has no area left, and a score of 0 drops it.
    clipped_boxes = Clip (candidate_boxes, zero, one)
    top_left, bottom_right = Split <axis = 2> (clipped_boxes, halves)
    sides = Sub (bottom_right, top_left)
    shortest = ReduceMin <keepdims = 0> (sides, axis_2)
    has_area = Greater (shortest, zero)
    inside_scores = Where (has_area, candidate_scores, zero)
    # The operator takes scores by class (N, classes, K): 0 except in a candidate's own class.
    each_scores = Unsqueeze (inside_scores, axis_1)
    is_class = OneHot <axis = 1> (candidate_labels, depth, off_on)
    class_scores = Mul (each_scores, is_class)
    selected = NonMaxSuppression ({compared_boxes}, {compared_scores}, limit, overlap, threshold)
    # It returns rows of (image, class, candidate), from which each image gets rows of its best.
    scores_shape = Shape ({compared_scores})
    blank = ConstantOfShape (scores_shape)
    selected_scores = GatherND ({compared_scores}, selected)
    kept_scores = ScatterND (blank, selected, selected_scores)
    flat_scores = ReduceMax <keepdims = 0> (kept_scores, axis_1)
    scores, places = TopK <axis = 1> (flat_scores, limit)
    labels = GatherElements <axis = 1> (candidate_labels, places)
    rows = Unsqueeze (places, axis_2)
    box_rows = Expand (rows, corners)
    boxes = GatherElements <axis = 1> (clipped_boxes, box_rows)
    is_kept = Greater (scores, zero)
    ones = Cast <to = 7> (is_kept)
    num_detections = ReduceSum <keepdims = 0> (ones, axis_1)
}}
"""
"""The nodes in ONNX's text format; class-agnostic suppression does not use the class scores."""


def check_suppression(post_process: PostProcess) -> None:
    """Make sure, before a long export, that ONNX has an operator for `append_suppression`.

    Raises:
        ConfigError: If ONNX has no operator for the suppression.
    """
    if post_process.suppression != "nms":
        raise ConfigError(
            "form nms: soft_nms has no operator in ONNX; export form decoded, or set"
            " model.postprocess.suppression=nms"
        )


def append_suppression(model: Any, post_process: PostProcess, num_classes: int) -> None:  # noqa: ANN401
    """Append suppression to a graph that outputs the candidates for it.

    The graph then returns D = ``max_detections`` rows for each image, highest score first:
    ``boxes`` (N, D, 4), ``xyxy`` as fractions of the image's sides and clipped to it;
    ``scores`` (N, D); ``labels`` (N, D), int64; and ``num_detections`` (N,), int64, the
    number of rows that are filled: the others have the score 0.

    Args:
        model: An `onnx.ModelProto` of the form ``nms``, before suppression.
        post_process: The settings of suppression.
        num_classes: Number of classes.
    """
    onnx = require_package("onnx")
    graph = model.graph
    num_candidates = graph.output[1].type.tensor_type.shape.dim[1].dim_value
    text = SUPPRESSION.format(
        N=graph.input[0].type.tensor_type.shape.dim[0].dim_param,
        D=min(post_process.max_detections, num_candidates),
        num_classes=num_classes,
        nms_iou=f"{post_process.nms_iou:.12f}",
        threshold=f"{post_process.score_threshold:.12f}",
        compared_boxes="clipped_boxes" if post_process.clip_before_nms else "candidate_boxes",
        compared_scores="each_scores" if post_process.class_agnostic else "class_scores",
    )
    lines = [line for line in text.splitlines() if not line.strip().startswith("#")]
    added = onnx.parser.parse_graph("\n".join(lines))
    graph.node.extend(added.node)
    graph.initializer.extend(added.initializer)
    del graph.output[:]
    graph.output.extend(added.output)
    onnx.checker.check_model(model)
