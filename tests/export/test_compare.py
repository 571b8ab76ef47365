"""The comparison of a graph with PyTorch notices what differs."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy import ndarray
from torch import Tensor

from tests.detectors import detector_of
from tests.exported import Images
from vision.errors import WeightsError
from vision.export.compare import Agreement, compare, require
from vision.model import build_post_process, fuse
from vision.runtime import Runner
from vision.runtime.torch_backend import TorchSession
from vision.structures import Decoded
from vision.weights import SavedDetector

Change = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


@pytest.mark.parametrize(
    ("agreement", "message"),
    [
        (Agreement(3, 0, 0.0, 0.0, 0), "nothing is found in 3 images"),
        (Agreement(3, 5, 2e-3, 0.0, 0), "does not give the same detections"),
        (Agreement(3, 5, 0.0, 0.6, 0), "does not give the same detections"),
        (Agreement(3, 5, 0.0, 0.0, 1), "1 detections have no counterpart"),
    ],
)
def test_what_does_not_agree(agreement: Agreement, message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        require(agreement, "w")


def test_comparing_notices_what_is_missing_moved_or_new(
    saved: SavedDetector, images: Images
) -> None:
    network = fuse(saved.model)
    post_process = build_post_process(saved.config.model)
    right = detector_of(saved).session

    def runner(change: Change) -> Runner:
        def run(pixels: ndarray) -> list[ndarray]:
            decoded = right(torch.from_numpy(pixels).permute(0, 3, 1, 2))
            return [part.numpy() for part in change(*decoded)]

        return run

    same = compare(runner(lambda b, s: (b, s)), "decoded", network, post_process, images)
    assert same == Agreement(8, same.num_detections, 0.0, 0.0, 0)
    moved = compare(runner(lambda b, s: (b + 1 / 128, s)), "decoded", network, post_process, images)
    assert 0.9 < moved.box_error < 1.1
    less = compare(runner(lambda b, s: (b, s * 0.99)), "decoded", network, post_process, images)
    assert 5e-3 < less.score_error < 1e-2
    none = compare(runner(lambda b, s: (b, s * 0)), "decoded", network, post_process, images)
    assert none.num_unmatched == none.num_detections > 8


@pytest.mark.parametrize(("gap", "error"), [(1e-6, 0.0), (1e-2, 0.05 * 128)])
def test_of_boxes_that_tie_either_may_stay(
    saved: SavedDetector, monkeypatch: pytest.MonkeyPatch, gap: float, error: float
) -> None:
    """Two boxes that suppress each other, and a graph that prefers the other one."""
    boxes = torch.tensor([[[0.1, 0.1, 0.5, 0.5], [0.1, 0.1, 0.5, 0.55]]])
    scores = torch.zeros(1, 2, 4)
    scores[0, :, 0] = torch.tensor([0.9, 0.9 - gap])
    monkeypatch.setattr(TorchSession, "__call__", lambda *_: Decoded(boxes, scores))
    agreement = compare(
        lambda _: [boxes.numpy(), scores.flip(1).numpy()],
        "decoded",
        fuse(saved.model),
        build_post_process(saved.config.model),
        [np.zeros((128, 128, 3), np.uint8)],
    )
    assert agreement.num_detections == 1
    assert agreement.num_unmatched == 0
    assert agreement.box_error == pytest.approx(error, abs=1e-4)
