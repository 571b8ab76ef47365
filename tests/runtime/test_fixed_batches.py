"""Batches of fixed sizes: the detections of a session without them, in any number of images."""

import copy
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.detectors import batched, detector_of, record_eagerly
from tests.exported import Images
from vision.detections import Detections
from vision.detector import Detector
from vision.errors import ConfigError
from vision.runtime import Scores
from vision.runtime.fixed_batches import MAX_RECORDED, NARROW, Recorded
from vision.runtime.torch_backend import TorchSession, cuda_process
from vision.weights import SavedDetector

SCORES: list[Scores] = [0.3, {"circle": 0.5, "star": 0.2}]


@pytest.fixture
def detector(saved: SavedDetector) -> Detector:
    return detector_of(saved, score=0.3)


def assert_same(found: list[Detections], expected: list[Detections]) -> None:
    for one, other in zip(found, expected, strict=True):
        assert (one.size, one.names) == (other.size, other.names)
        assert torch.equal(one.labels, other.labels)
        torch.testing.assert_close(one.scores, other.scores, rtol=0, atol=1e-5)
        torch.testing.assert_close(one.boxes, other.boxes, rtol=0, atol=1e-3)


@pytest.mark.parametrize("count", [0, 1, 3, 67])
def test_lists_of_any_length_are_detected_alike(
    detector: Detector, images: Images, count: int
) -> None:
    """Filled up to the next size, or cut; with a threshold for each class too."""
    given = [np.roll(images[number % 8], number, axis=1) for number in range(count)]
    expected = [detector(given, score=score) for score in SCORES]
    assert sum(map(len, expected[0])) >= count / 2
    batched(detector)
    for found, score in zip(expected, SCORES, strict=True):
        assert_same(detector(given, score=score), found)
    batch = torch.zeros(count, 3, 128, 128, dtype=torch.uint8)
    with pytest.raises(ValueError, match=f"expected {count} sizes, got {count + 1}"):
        detector.detect_batch(batch, [(9, 9)] * (count + 1))


def test_images_of_another_size_are_refused_and_recorded_batches_stay(
    detector: Detector, images: Images
) -> None:
    batches = batched(detector)
    detector(images[0])
    batch = torch.zeros(2, 3, 64, 128, dtype=torch.uint8)
    with pytest.raises(ValueError, match=r"shape \(3, 128, 128\), got \(3, 64, 128\)"):
        detector.detect_batch(batch, [(9, 9)] * 2)
    assert len(batches._recorded) == 1


def test_what_does_not_fit_is_detected_without_them(
    detector: Detector, images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More candidates than there is room for, for which there is room from then on."""
    widths: list[int | None] = []

    def record(function: Any, *inputs: Tensor) -> Recorded:  # noqa: ANN401
        widths.append(function.args[2])
        return record_eagerly(function, *inputs)

    expected = detector(images[:2], score=0.0)
    batched(detector, record)
    for _ in range(2):
        assert_same(detector(images[:2], score=0.0), expected)
    assert widths == [NARROW, None]
    monkeypatch.setattr("vision.model.fixed_shapes.ROUNDS", 1)
    assert_same(detector(images[:2], score=0.0), expected)


@pytest.mark.parametrize("starts", [False, True])
def test_a_gpu_that_cannot_record_detects_without(
    detector: Detector, images: Images, caplog: pytest.LogCaptureFixture, *, starts: bool
) -> None:
    """As one whose graphs give other results, which is found when the first one starts."""

    def fail(*_: object) -> Any:  # noqa: ANN401
        raise RuntimeError("out of memory\nmore")

    def record(*_: object) -> Recorded:
        return fail if starts else fail()

    expected = detector(images[:3])
    batched(detector, record)
    for _ in range(2):
        assert_same(detector(images[:3]), expected)
    assert caplog.messages == ["detection continues without CUDA graphs: out of memory"]


def test_a_failure_without_a_reason_detects_without(
    detector: Detector, images: Images, caplog: pytest.LogCaptureFixture
) -> None:
    def record(*_: object) -> Recorded:
        raise RuntimeError

    expected = detector(images[:1])
    batched(detector, record)
    assert_same(detector(images[:1]), expected)
    assert caplog.messages == ["detection continues without CUDA graphs: RuntimeError"]


def test_the_next_batch_is_prepared_while_one_runs(
    detector: Detector, images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two are under way at most; settings that change are recorded, of which some are kept."""
    events: list[str] = []

    def record(function: Callable[..., Tensor], *inputs: Tensor) -> Recorded:
        start = record_eagerly(function, *inputs)

        def started(*given: Tensor) -> Callable[[], Tensor]:
            events.append("start")
            finish = start(*given)
            return lambda: (events.append("wait"), finish())[1]  # type: ignore[func-returns-value]

        return started

    monkeypatch.setattr("vision.detector.MAX_BATCH", 2)
    batches = batched(detector, record)
    detector(images[:6])
    assert events == ["start", "start", "wait", "start", "wait", "wait"]
    for number in range(MAX_RECORDED + 3):
        detector.post_process = replace(detector.post_process, max_detections=1 + number)
        assert len(detector(images[0])) <= 1 + number
    assert len(batches._recorded) == MAX_RECORDED


def test_several_threads_get_their_own_images(detector: Detector, images: Images) -> None:
    expected = [detector(image) for image in images]
    batched(detector)
    with ThreadPoolExecutor(4) as pool:
        assert_same(list(pool.map(detector, images)), expected)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_a_gpu_records_what_the_cpu_answers(detector: Detector, images: Images) -> None:
    given = [images[number % 8] for number in range(67)]
    expected = detector(given)
    detector.to("cuda")
    for found, other in zip(detector(given), expected, strict=True):
        assert found.labels.tolist() == other.labels.tolist()
        torch.testing.assert_close(found.scores, other.scores, rtol=0, atol=1e-3)
    batches = detector.session.batches  # type: ignore[attr-defined]
    assert [size for _, size, _ in batches._recorded] == [64, 4]


def test_a_forked_process_is_told_that_cuda_needs_another(
    detector: Detector, images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = detector.session
    assert isinstance(session, TorchSession)
    session._process = cuda_process()
    monkeypatch.setattr("os.getpid", lambda: -1)
    with pytest.raises(
        ConfigError, match="before a fork, and CUDA does not work in a forked process"
    ):
        detector(images[0])


def test_copies_record_for_themselves(detector: Detector, images: Images) -> None:
    expected, session = detector(images[:2]), detector.session
    batched(detector)
    for again in (pickle.loads(pickle.dumps(session)), copy.deepcopy(session)):  # noqa: S301
        assert isinstance(again, TorchSession)
        assert again.batches is None  # on the CPU
        detector.session = again
        assert_same(detector(images[:2]), expected)
