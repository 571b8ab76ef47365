"""`Detector`: from files and from networks, one image or a batch, and its thresholds."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from jaxtyping import UInt8
from numpy import ndarray
from PIL import Image

from tests.detectors import detector_of
from tests.runs import result_of
from vision.detections import Detections
from vision.detector import Detector
from vision.errors import ConfigError, DataError, WeightsError
from vision.export import default_images
from vision.images import resize
from vision.media import VideoWriter, write_image
from vision.model import build_post_process
from vision.runtime import RuntimeOptions, Score
from vision.runtime.backend import GraphSession
from vision.runtime.scores import check_number, only_classes
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


@pytest.mark.parametrize("score", ["high", [0.5], None])
def test_what_is_no_score_is_one_line(score: object) -> None:
    with pytest.raises(ConfigError, match='expected a number from 0 to 1 or "best", got'):
        check_number(score)


def test_best_scores_that_were_never_recorded(saved: SavedDetector) -> None:
    with pytest.raises(WeightsError, match="no best thresholds, which training records; the page"):
        detector_of(saved, score="best")


def test_one_image_in_each_form(saved: SavedDetector, photos: Images, tmp_path: Path) -> None:
    """What is no RGB is the same as its RGB: `tests.test_image_inputs` has each form by itself."""
    detector, photo = detector_of(saved, score=0.4), photos[0]
    path = tmp_path / "photo.png"
    write_image(path, photo)
    expected = detector(photo)
    assert len(expected) > 0
    assert "person" in [row.name for row in expected]
    tensor = torch.from_numpy(photo).permute(2, 0, 1)
    rgba = np.dstack([photo, photo[..., 0]])
    for image in (str(path), path, path.read_bytes(), Image.fromarray(photo), rgba, tensor):
        found = detector(image)
        assert isinstance(found, Detections)
        assert same(found, expected)
        assert found.image is image
        np.testing.assert_array_equal(found.draw(), expected.draw(photo))
    grey = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)
    assert same(detector(grey), detector(np.dstack([grey] * 3)))


def test_many_images_in_each_form(
    saved: SavedDetector, photos: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    detector = detector_of(saved, score=0.4)
    pair = [photos[0], photos[0][:, ::-1].copy()]
    expected = [detector(one) for one in pair]
    stack = np.stack(pair)
    for images in (pair, tuple(pair), stack, torch.from_numpy(stack).permute(0, 3, 1, 2)):
        found = detector(images)
        assert isinstance(found, list)
        assert all(map(same, found, expected))
    monkeypatch.setattr("vision.detector.MAX_BATCH", 2)
    mixed: list[Any] = [
        *pair,
        Image.fromarray(pair[0]),
        torch.from_numpy(pair[1]).permute(2, 0, 1),
        pair[0],
    ]
    for one, number in zip(detector(mixed), (0, 1, 0, 1, 0), strict=True):
        assert same(one, expected[number])


def test_a_generator_is_read_as_the_detections_are_asked_for(
    saved: SavedDetector, photos: Images
) -> None:
    read = []

    def images() -> Iterator[UInt8[ndarray, "h w 3"]]:
        for number, photo in enumerate(photos):
            read.append(number)
            yield photo

    detector = detector_of(saved, score=0.4)
    found = detector(images())
    assert read == []
    assert same(next(found), detector(photos[0]))
    assert read == [0]
    assert len(list(found)) == 1


def test_numbers_in_place_of_class_names_are_one_line() -> None:
    # In a process of its own, which checks no annotations.
    message = r"^classes: expected class names such as cat, got \[0\]$"
    for classes in ([0], 0):
        with pytest.raises(ConfigError, match=message):
            result_of(only_classes, 0.4, classes, ["cat"])


def test_scores_and_classes_of_one_call(saved: SavedDetector, photos: Images) -> None:
    detector = detector_of(saved, score=0.02)
    every = detector(photos[0])
    assert len(every) < detector.post_process.max_detections
    person = saved.names.index("person")
    other = next(row.name for row in every if row.name != "person")
    limit = every[1].score
    assert same(detector(photos[0], score=limit), every[every.scores > limit])
    assert same(detector(photos[0], classes=["person"]), every[every.labels == person])
    assert same(detector(photos[0], classes="person"), every[every.labels == person])
    sure = (every.labels == person) & (every.scores > 0.05)
    assert same(detector(photos[0], score=0.05, classes=["person"]), every[sure])
    by_name = detector(photos[0], score={"": 0.05, other: 0.03}, classes=["person"])
    assert same(by_name, every[sure])
    assert same(detector(photos[0]), every)
    with pytest.raises(ConfigError, match=r"no class persn; did you mean person\?"):
        detector(photos[0], classes=["persn"])
    with pytest.raises(ConfigError, match="score: expected a number from 0 to 1, got 2"):
        detector(photos[0], score=2.0)


def test_a_score_that_is_set_counts(saved: SavedDetector, photos: Images) -> None:
    detector = detector_of(saved, score=0.4)
    detector.score = 0.7
    assert detector.score == 0.7
    assert same(detector(photos[0]), detector_of(saved, score=0.7)(photos[0]))
    with pytest.raises(ConfigError, match="from 0 to 1, got 7"):
        detector.score = 7.0
    assert detector.score == 0.7
    assert same(detector(photos[0]), detector_of(saved, score=0.7)(photos[0]))
    detector.score = None
    assert same(detector(photos[0]), detector_of(saved)(photos[0]))


@pytest.mark.parametrize("name", ["threshold", "names", "image_size", "conf"])
def test_what_has_no_effect_cannot_be_set(saved: SavedDetector, name: str) -> None:
    with pytest.raises(AttributeError):
        setattr(detector_of(saved), name, 1)


def test_a_detector_says_what_it_is(saved: SavedDetector) -> None:
    assert repr(detector_of(saved, score=0.4)) == (
        "Detector(20 classes (aeroplane, bicycle, bird, boat, ...), 300 x 300 pixels, PyTorch fp32"
        " on cpu, score 0.4)"
    )
    low = detector_of(saved, options=RuntimeOptions(precision="bf16", device="cpu"))
    assert "PyTorch bf16 on cpu" in repr(low)


def test_weights_in_place_of_a_session_are_told_where_to_go() -> None:
    for weights in ("x.safetensors", Path("x.safetensors")):
        with pytest.raises(TypeError, match=r'Detector\.load\("x\.safetensors"\)'):
            Detector(weights)  # type: ignore[call-arg, arg-type]


def test_a_detector_moves(saved: SavedDetector, photos: Images) -> None:
    """To the device that it is on, here; the next test takes a GPU."""
    detector = detector_of(saved, score=0.4)
    before = detector(photos[0])
    assert detector.to("cpu") is detector
    assert same(detector(photos[0]), before)
    with pytest.raises(ConfigError, match="nonsense"):
        detector.to("nonsense")
    assert same(detector(photos[0]), before)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_a_detector_moves_to_a_gpu_and_back(saved: SavedDetector, photos: Images) -> None:
    detector = detector_of(saved, score=0.4, options=RuntimeOptions(device="cpu"))
    before = detector(photos[0])
    moved = detector.to("cuda")(photos[0])
    assert "on cuda" in repr(detector)
    assert moved.boxes.device.type == "cpu"
    torch.testing.assert_close(moved.scores, before.scores, rtol=0, atol=1e-3)
    assert same(detector.to("cpu")(photos[0]), before)


def test_other_backends_stay_where_they_are(saved: SavedDetector) -> None:
    session = GraphSession(lambda _: [], (300, 300), RuntimeOptions("onnx", "cpu", "fp32"))
    detector = Detector(session, build_post_process(saved.config.model), saved.names)
    assert "ONNX Runtime fp32 on cpu" in repr(detector)
    with pytest.raises(ConfigError, match=r'onnx cannot be moved; .*device="cuda"'):
        detector.to("cuda")


def test_a_stream_of_a_folder_with_a_film(
    saved: SavedDetector, photos: Images, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """In the order of their names; what cannot be read is said and left out."""
    write_image(tmp_path / "a.png", photos[0])
    (tmp_path / "b.jpg").write_bytes(b"nothing")
    with VideoWriter(tmp_path / "c.mp4", 10.0) as writer:
        for _ in range(3):
            writer.write(photos[1])
    detector = detector_of(saved, score=0.4)
    stream = detector.stream(tmp_path, classes=["person"])
    frame, found = next(stream)
    np.testing.assert_array_equal(frame, photos[0])
    assert same(found, detector(photos[0], classes=["person"]))
    assert [frame.shape for frame, _ in stream] == [photos[1].shape] * 3
    assert "b.jpg cannot be decoded" in caplog.text
    film = str(tmp_path / "c.mp4")
    assert len(list(detector.stream([film, film, tmp_path / "a.png"], stride=2))) == 2 + 1


def test_folders_and_films_are_told_where_to_go(saved: SavedDetector, tmp_path: Path) -> None:
    for path in (tmp_path, "film.mp4", str(tmp_path)):
        with pytest.raises(DataError, match=r"is not one image; read it with detector\.stream"):
            detector_of(saved)(path)


def test_a_path_that_is_too_long_is_one_line(saved: SavedDetector) -> None:
    with pytest.raises(DataError, match=r"image b{300} cannot be opened: File name too long"):
        detector_of(saved)("b" * 300)


def test_streams_that_cannot_be_read(saved: SavedDetector, tmp_path: Path) -> None:
    detector = detector_of(saved)
    with pytest.raises(DataError, match="nowhere does not exist"):
        detector.stream("nowhere")
    (tmp_path / "b.jpg").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"b\.jpg cannot be decoded"):
        next(detector.stream(tmp_path / "b.jpg"))


def test_no_image_gives_no_detections(saved: SavedDetector) -> None:
    detector = detector_of(saved)
    assert detector([]) == []
