"""`Detector`: from files and from networks, one image or a batch, and its thresholds."""

from pathlib import Path

import pytest
import torch
from jaxtyping import UInt8
from numpy import ndarray

from tests.detectors import detector_of
from vision.detector import Detector
from vision.errors import ConfigError, WeightsError
from vision.export import default_images
from vision.images import resize
from vision.runtime import Score
from vision.structures import Detections
from vision.weights import SHIPPED, SavedDetector, load_weights, save_weights

Images = list[UInt8[ndarray, "h w 3"]]


@pytest.fixture(scope="module")
def saved() -> SavedDetector:
    return load_weights(SHIPPED["voc"])


@pytest.fixture(scope="module")
def photos() -> Images:
    """Of two sizes, with a person in each."""
    return [default_images(1, size)[0] for size in ((300, 400), (200, 180))]


def same(one: Detections, other: Detections) -> bool:
    return one.size == other.size and all(
        torch.equal(getattr(one, name), getattr(other, name))
        for name in ("boxes", "scores", "labels")
    )


def test_a_network_in_memory_answers_as_its_file(saved: SavedDetector, photos: Images) -> None:
    before = {key: value.clone() for key, value in saved.model.state_dict().items()}
    detector = detector_of(saved, score=0.4)
    loaded = Detector.load("voc")
    assert loaded.post_process == detector.post_process
    assert loaded.training["epoch"] == saved.training["epoch"]
    for found, expected in zip(detector(photos), loaded(photos), strict=True):
        assert len(found) > 0
        assert same(found, expected)
    after = saved.model.state_dict()
    assert all(torch.equal(value, after[key]) for key, value in before.items())


def test_a_batch_is_detected_as_its_images(saved: SavedDetector, photos: Images) -> None:
    detector = detector_of(saved, score=0.4)
    resized = [resize(photo, detector.image_size).transpose(2, 0, 1) for photo in photos]
    tensors = [torch.from_numpy(image.copy()) for image in resized]
    sizes = [(photo.shape[0], photo.shape[1]) for photo in photos]
    expected = detector(photos)
    batch = torch.stack(tensors)
    for found, one in zip(detector.detect_batch(batch, sizes), expected, strict=True):
        assert found.size == one.size
        assert torch.equal(found.labels, one.labels)
        torch.testing.assert_close(found.boxes, one.boxes, rtol=1e-4, atol=1e-2)
    with pytest.raises(ValueError, match="expected 2 sizes, got 1"):
        detector.detect_batch(batch, sizes[:1])


def test_the_score_is_that_of_training_unless_one_is_given(
    saved: SavedDetector, photos: Images
) -> None:
    every, sure = (detector_of(saved, score=score)(photos[0]) for score in (None, 0.4))
    assert len(every) > len(sure) > 0
    assert same(sure, every[every.scores > 0.4])


def test_scores_by_class(saved: SavedDetector, photos: Images) -> None:
    def detect(score: dict[str, float]) -> Detections:
        found: Detections = detector_of(saved, score=score)(photos[0])
        return found

    person = saved.names.index("person")
    assert set(detect({"person": 0.3}).labels.tolist()) == {person}
    assert person not in detect({"": 0.001, "person": 1.0}).labels.tolist()
    with pytest.raises(ConfigError, match=r"no class persn; did you mean person\?"):
        detect({"persn": 0.3})


def test_best_scores_are_those_that_training_recorded(
    saved: SavedDetector, photos: Images, tmp_path: Path
) -> None:
    """Class by class, where the word is given for one alone, and beside numbers."""
    best = {"person": 0.75, "horse": 0.1, "sofa": 0.3}
    path = tmp_path / "w.safetensors"
    save_weights(path, saved.model, saved.config, saved.names, {"thresholds": best})
    every = Detector.load(path, None)(photos[0])
    usual = dict.fromkeys(saved.names, 0.4)
    low = dict.fromkeys(saved.names, 0.15)
    cases: list[tuple[Score | dict[str, Score], dict[str, float]]] = [
        ("best", usual | best),
        ({"person": "best"}, {"person": 0.75}),
        ({"": "best", "person": 0.2}, usual | best | {"person": 0.2}),
        ({"": 0.15, "person": "best", "cat": "best"}, low | {"person": 0.75, "cat": 0.4}),
    ]
    for score, expected in cases:
        limits = torch.tensor([expected.get(name, 1.0) for name in saved.names])
        found = Detector.load(path, score)(photos[0])
        assert same(found, every[every.scores > limits[every.labels]])
        assert len(found) > 0


def test_best_scores_that_were_never_recorded(saved: SavedDetector) -> None:
    with pytest.raises(WeightsError, match="no best thresholds, which training records; the page"):
        detector_of(saved, score="best")


def test_no_image_gives_no_detections(saved: SavedDetector) -> None:
    detector = detector_of(saved)
    assert detector([]) == []
