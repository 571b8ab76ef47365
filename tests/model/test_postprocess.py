"""From predictions to detections: against torchvision, plain arithmetic, and at the edges."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional
from torch.testing import assert_close
from torchvision.models.detection._utils import BoxCoder
from torchvision.models.detection.ssd import SSD

import vision.boxes as box_ops
from tests import reference_model as reference
from vision.config import ModelConfig
from vision.detections import Detections
from vision.model import build_post_process, decode_predictions, prior_boxes
from vision.model.layers import Scores
from vision.model.postprocess import PostProcess, Suppression
from vision.structures import Predictions

SEEDS = st.integers(0, 10_000)
SIZE = (240, 320)
NUM_CLASSES = 3
PRIORS = prior_boxes([(4, 4), (3, 3), (2, 2), (1, 1), (1, 1), (1, 1)])
SETTINGS: dict[str, Any] = {
    "score_threshold": 0.1,
    "nms_iou": 0.45,
    "max_candidates": 10_000,
    "max_detections": 10_000,
}


def random_predictions(num_images: int, priors: Tensor = PRIORS, seed: int = 0) -> Predictions:
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(num_images, len(priors), NUM_CLASSES + 1, generator=generator)
    return Predictions(logits, torch.randn(num_images, len(priors), 4, generator=generator))


def sure_of(rows: dict[int, int], num_classes: int = NUM_CLASSES) -> Predictions:
    """Predictions of one image that give each of the ``rows`` (a prior) its class, the first best.

    The boxes are the priors.
    """
    logits = torch.zeros(1, len(PRIORS), num_classes + 1)
    logits[..., -1] = 20
    for rank, (row, label) in enumerate(rows.items()):
        logits[0, row, label] = 30 - rank
    return Predictions(logits, torch.zeros(1, len(PRIORS), 4))


def post_process(**settings: Any) -> PostProcess:  # noqa: ANN401
    """The defaults of the configuration, but for these settings."""
    return replace(build_post_process(ModelConfig()), **settings)


def run_all(
    predictions: Predictions,
    sizes: list[tuple[int, int]],
    priors: Tensor = PRIORS,
    scores: Scores = "softmax",
    **settings: Any,  # noqa: ANN401
) -> list[Detections]:
    """Detections of several images."""
    return post_process(**settings)(decode_predictions(predictions, priors, scores), sizes)


def run(predictions: Predictions, size: tuple[int, int] = SIZE, **changes: Any) -> Detections:  # noqa: ANN401
    """Detections of a single image."""
    (found,) = run_all(predictions, [size], **(SETTINGS | changes))
    return found


def test_background_alone_gives_no_detections() -> None:
    found = run(sure_of({}), (30, 40))
    assert len(found) == 0
    assert found.size == (30, 40)
    assert found.boxes.shape == (0, 4)


def test_one_sure_prior_gives_one_detection() -> None:
    found = run(sure_of({7: 2}))
    assert found.labels.tolist() == [2]
    assert found.scores.tolist() == pytest.approx([1], abs=1e-4)
    expected = box_ops.scale(box_ops.to_corners(PRIORS[7:8]), (1, 1), SIZE)
    assert_close(found.boxes, box_ops.clip(expected, SIZE))


@given(SEEDS)
def test_encoded_objects_are_decoded_into_the_pixels_of_each_original_image(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    sizes = [(240, 320), (1000, 50)]
    boxes = [reference.random_boxes(generator, 1, size) for size in sizes]
    priors = torch.tensor([[0.5, 0.5, 0.5, 0.5]])
    offsets = [
        box_ops.encode(box_ops.to_centre(box_ops.scale(box, size, (1, 1))), priors)
        for box, size in zip(boxes, sizes, strict=True)
    ]
    logits = torch.tensor([9.0, 0.0]).expand(2, 1, 2)
    found = run_all(Predictions(logits, torch.stack(offsets)), sizes, priors)
    for detections, box, size in zip(found, boxes, sizes, strict=True):
        assert detections.size == size
        assert_close(detections.boxes, box, rtol=1e-4, atol=1e-2)


def torchvision_detections(
    predictions: Predictions, sizes: list[tuple[int, int]]
) -> list[Detections]:
    """Of torchvision, whose background is class 0 and whose priors are in pixels."""
    self = SimpleNamespace(
        box_coder=BoxCoder((10.0, 10.0, 5.0, 5.0)),
        score_thresh=SETTINGS["score_threshold"],
        nms_thresh=SETTINGS["nms_iou"],
        topk_candidates=SETTINGS["max_candidates"],
        detections_per_img=SETTINGS["max_detections"],
    )
    logits = torch.cat([predictions.logits[..., -1:], predictions.logits[..., :-1]], dim=-1)
    anchors = [box_ops.scale(box_ops.to_corners(PRIORS), (1, 1), size) for size in sizes]
    heads = {"cls_logits": logits, "bbox_regression": predictions.offsets}
    found = SSD.postprocess_detections(self, heads, anchors, sizes)
    return [Detections(one["boxes"], one["scores"], one["labels"] - 1) for one in found]


@given(SEEDS)
def test_equals_torchvision_where_no_limit_bites(seed: int) -> None:
    sizes = [SIZE, (400, 100)]
    predictions = random_predictions(2, seed=seed)
    found = run_all(predictions, sizes, **SETTINGS)
    for ours, theirs in zip(found, torchvision_detections(predictions, sizes), strict=True):
        assert len(ours) == len(theirs) > 10
        assert_close(ours.scores, theirs.scores, rtol=1e-5, atol=1e-6)
        assert_close(ours.boxes, theirs.boxes, rtol=1e-4, atol=1e-2)
        assert torch.equal(ours.labels, theirs.labels)


@given(
    SEEDS,
    st.sampled_from([0.0, 0.2, 0.9]),
    st.sampled_from([0.3, 0.6]),
    st.sampled_from([1, 20, 10_000]),
    st.fixed_dictionaries(
        {
            "max_detections": st.sampled_from([1, 10, 10_000]),
            "max_per_class": st.sampled_from([None, 3, 10_000]),
            "scores": st.sampled_from(["softmax", "sigmoid"]),
            "clip_before_nms": st.booleans(),
        }
    ),
)
def test_equals_plain_arithmetic_where_limits_bite(
    seed: int, threshold: float, nms_iou: float, max_candidates: int, others: dict[str, Any]
) -> None:
    generator = torch.Generator().manual_seed(seed)
    priors = reference.random_priors(generator, 40)
    predictions = random_predictions(1, priors, seed)
    limits: dict[str, Any] = {"max_candidates": max_candidates} | others
    expected = reference.post_process(
        predictions.logits[0],
        predictions.offsets[0],
        priors,
        SIZE,
        threshold=threshold,
        nms_iou=nms_iou,
        **limits,
    )
    (found,) = run_all(
        predictions, [SIZE], priors, score_threshold=threshold, nms_iou=nms_iou, **limits
    )
    assert found.labels.tolist() == [one.label for one in expected]
    assert found.scores.tolist() == pytest.approx([one.score for one in expected], rel=1e-4)
    boxes = torch.tensor([one.box for one in expected]).reshape(-1, 4)
    assert_close(found.boxes, boxes, rtol=1e-4, atol=1e-2)


@given(SEEDS, st.floats(1, 30))
def test_boxes_lie_inside_the_image_and_scores_fall(seed: int, spread: float) -> None:
    logits, offsets = random_predictions(1, seed=seed)
    found = run(Predictions(logits, offsets * spread), max_detections=25)
    assert 0 < len(found) <= 25
    assert torch.equal(box_ops.clip(found.boxes, SIZE), found.boxes)
    assert bool((found.boxes[:, 2:] > found.boxes[:, :2]).all())
    assert found.scores.tolist() == sorted(found.scores.tolist(), reverse=True)
    assert bool(((found.scores > SETTINGS["score_threshold"]) & (found.scores <= 1)).all())
    assert bool(((found.labels >= 0) & (found.labels < NUM_CLASSES)).all())


@given(SEEDS)
def test_suppressing_detections_again_drops_none(seed: int) -> None:
    found = run(random_predictions(1, seed=seed))
    again = box_ops.nms(found.boxes, found.scores, found.labels, SETTINGS["nms_iou"])
    assert again.tolist() == list(range(len(found)))
    # There was something to suppress.
    every = run(random_predictions(1, seed=seed), nms_iou=1.0)
    assert len(every) > len(found) > 1


@pytest.mark.parametrize(("limit", "kept"), [(1, [0]), (2, [0, 1]), (9, [0, 1, 2])])
def test_no_more_than_max_detections_the_best(limit: int, kept: list[int]) -> None:
    found = run(sure_of({0: 0, 18: 1, 60: 2}), max_detections=limit)
    assert found.labels.tolist() == kept


def test_one_prior_may_be_two_classes_unless_suppression_is_class_agnostic() -> None:
    logits = torch.full((1, len(PRIORS), 4), -50.0)
    logits[..., -1] = 0
    logits[0, 7] = torch.tensor([1.0, 0.9, -50, -50])
    predictions = Predictions(logits, torch.zeros(1, len(PRIORS), 4))
    found = run(predictions)
    assert found.labels.tolist() == [0, 1]
    assert torch.equal(found.boxes[0], found.boxes[1])
    assert run(predictions, class_agnostic=True).labels.tolist() == [0]


def test_score_must_be_above_the_threshold() -> None:
    logits = torch.zeros(1, len(PRIORS), 2)
    predictions = Predictions(logits, torch.zeros(1, len(PRIORS), 4))
    assert len(run(predictions, score_threshold=0.5)) == 0
    assert len(run(predictions, score_threshold=0.499)) > 0


@pytest.mark.parametrize("suppression", ["nms", "soft_nms"])
def test_a_threshold_of_the_call_is_that_of_the_settings(suppression: Suppression) -> None:
    """One number as if it were set; one for each class leaves out of each what is below."""
    decoded = decode_predictions(random_predictions(1), PRIORS)
    loose = post_process(score_threshold=0.1, suppression=suppression, max_detections=10_000)
    strict = replace(loose, score_threshold=0.4)
    (expected,) = strict(decoded, [SIZE])
    (found,) = loose(decoded, [SIZE], 0.4)
    assert len(found) == len(expected) > 0
    assert torch.equal(found.boxes, expected.boxes)
    (by_class,) = loose(decoded, [SIZE], torch.tensor([0.4, 1.0, 0.1]))
    assert set(by_class.labels.tolist()) == {0, 2}
    assert len(by_class[by_class.labels == 0]) == len(expected[expected.labels == 0])
    assert loose.score_threshold == 0.1


def test_softmax_runs_over_background_too() -> None:
    logits = torch.full((1, len(PRIORS), 4), -50.0)
    logits[0, 7] = torch.tensor([1.0, -1.0, 0.0, 2.0])
    logits[0, :7, -1] = logits[0, 8:, -1] = 0
    found = run(Predictions(logits, torch.zeros(1, len(PRIORS), 4)), score_threshold=0.2)
    expected = functional.softmax(logits[0, 7], dim=0)[0]
    assert found.scores.tolist() == pytest.approx([expected.item()])


@pytest.mark.parametrize("offset", [100.0, -100.0])
def test_box_outside_the_image_is_dropped(offset: float) -> None:
    predictions = sure_of({7: 1, 18: 2})
    predictions.offsets[0, 7, 0] = offset
    assert run(predictions).labels.tolist() == [2]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), 1e30])
def test_broken_predictions_of_one_prior_do_not_hurt_another(value: float) -> None:
    predictions = sure_of({7: 1, 18: 2})
    predictions.offsets[0, 7] = value
    predictions.logits[0, 30] = float("nan")
    found = run(predictions)
    assert 2 in found.labels.tolist()
    assert bool(found.boxes.isfinite().all())
    assert bool(found.scores.isfinite().all())


def test_bf16_predictions_give_float32_detections() -> None:
    coarse = Predictions(*(part.bfloat16() for part in random_predictions(1)))
    fine = Predictions(*(part.float() for part in coarse))
    found, expected = run(coarse), run(fine)
    assert found.boxes.dtype == found.scores.dtype == torch.float32
    assert torch.equal(found.boxes, expected.boxes)
    assert torch.equal(found.scores, expected.scores)


def test_each_image_needs_a_size() -> None:
    with pytest.raises(ValueError, match="expected 2 sizes, got 1"):
        run_all(random_predictions(2), [SIZE])


def test_no_graph_is_kept() -> None:
    logits, offsets = random_predictions(1)
    found = run(Predictions(logits.requires_grad_(), offsets.requires_grad_()))
    assert len(found) > 0
    assert not found.boxes.requires_grad
    assert not found.scores.requires_grad


def test_boxes_that_are_alike_only_inside_the_image_are_both_kept_where_cutting_comes_last() -> (
    None
):
    # Two boxes that reach far out, one to the left and one to the right, and cover all inside.
    priors = torch.tensor([[0.0, 0.5, 2.0, 1.0], [1.0, 0.5, 2.0, 1.0]])
    predictions = Predictions(torch.tensor([[[9.0, 0.0], [8.0, 0.0]]]), torch.zeros(1, 2, 4))
    counts = [
        len(run_all(predictions, [SIZE], priors, clip_before_nms=clip_before_nms)[0])
        for clip_before_nms in (True, False)
    ]
    assert counts == [1, 2]


@given(SEEDS, st.booleans(), st.sampled_from(["nms", "soft_nms"]), st.sampled_from([None, 4]))
def test_images_of_a_batch_are_processed_as_if_alone(
    seed: int, class_agnostic: bool, suppression: str, max_per_class: int | None
) -> None:
    sizes = [SIZE, (400, 100), (64, 64)]
    settings = SETTINGS | {
        "class_agnostic": class_agnostic,
        "suppression": suppression,
        "max_per_class": max_per_class,
        "max_detections": 15,
    }
    predictions = random_predictions(3, seed=seed)
    together = run_all(predictions, sizes, **settings)
    for row, (found, size) in enumerate(zip(together, sizes, strict=True)):
        one = Predictions(*(part[row : row + 1] for part in predictions))
        (alone,) = run_all(one, [size], **settings)
        assert 0 < len(found) <= 15
        assert torch.equal(found.labels, alone.labels)
        assert_close(found.scores, alone.scores)
        assert_close(found.boxes, alone.boxes)


@pytest.mark.slow
@given(SEEDS, st.sampled_from([0.1, 0.5, 2.0]), st.booleans())
def test_soft_nms_equals_plain_arithmetic(seed: int, sigma: float, class_agnostic: bool) -> None:
    predictions = random_predictions(1, seed=seed)
    settings: dict[str, Any] = {
        "max_detections": 30,
        "suppression": "soft_nms",
        "class_agnostic": class_agnostic,
    }
    found = run(predictions, soft_nms_sigma=sigma, **settings)
    every = run(predictions, nms_iou=1.0)
    expected = reference.soft_nms(
        every.boxes.tolist(),
        every.scores.tolist(),
        [0] * len(every) if class_agnostic else every.labels.tolist(),
        sigma,
    )
    expected = [one for one in expected if one[1] > SETTINGS["score_threshold"]][:30]
    assert len(found) == len(expected) > 1
    assert found.scores.tolist() == pytest.approx([score for _, score in expected], rel=1e-4)
    assert found.labels.tolist() == every.labels[[index for index, _ in expected]].tolist()


def test_soft_nms_keeps_neighbours_that_nms_drops() -> None:
    predictions = sure_of({0: 0, 1: 0})  # two squares about one centre
    assert len(run(predictions, nms_iou=0.3)) == 1
    found = run(predictions, suppression="soft_nms")
    assert len(found) == 2
    assert found.scores[1] < found.scores[0]
