"""Tracks and counts against films whose truth is known."""

import itertools
from collections import defaultdict

import cv2
import numpy as np
import pytest
import torch

from vision.detection.counting import Region, RegionCounter, describe, parse_region
from vision.detection.tracking import Tracker
from vision.detections import Detections
from vision.errors import ConfigError, DataError

SIZE = (240, 320)
NAMES = ["car", "person"]
THRESHOLDS = torch.tensor([0.4, 0.6])


def detections(*rows: tuple[float, float, float, int]) -> Detections:
    """Boxes of 20 pixels from the middle x and y, with score and label, highest score first."""
    ordered = sorted(rows, key=lambda row: -row[2])
    boxes = [[x - 10, y - 10, x + 10, y + 10] for x, y, _, _ in ordered]
    return Detections(
        torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        torch.tensor([row[2] for row in ordered], dtype=torch.float32),
        torch.tensor([row[3] for row in ordered], dtype=torch.int64),
        SIZE,
    )


def scene(number: int) -> list[tuple[int, float, float, float]]:
    """Object, x, y and score of three objects that come near each other and never overlap.

    The score of the second falls below every threshold for a while; the third is not detected in
    frames 20 to 24.
    """
    weak = 0.2 if 10 <= number < 18 else 0.8
    objects = [
        (0, 20.0 + 4 * number, 60.0, 0.9),
        (1, 300.0 - 4 * number, 90.0, weak),
        (2, 160.0 + 2 * (number % 2), 200.0, 0.7),
    ]
    return [one for one in objects if one[0] != 2 or not 20 <= number < 25]


def test_ids_stay_through_weak_scores_and_gaps() -> None:
    tracker = Tracker(25.0, THRESHOLDS)
    ids: dict[int, list[int]] = defaultdict(list)
    for number in range(60):
        objects = scene(number)
        given = detections(*((x, y, score, 0) for _, x, y, score in objects))
        found, tracks = tracker.update(given, number / 25)
        assert len(found) == len(objects)
        middles = ((found.boxes[:, :2] + found.boxes[:, 2:]) / 2).tolist()
        for middle, track in zip(middles, tracks, strict=True):
            (truth,) = [one[0] for one in objects if [one[1], one[2]] == middle]
            assert (track is None) == (number == 0)
            if track is not None:
                ids[truth].append(track)
    switches = sum(a != b for row in ids.values() for a, b in itertools.pairwise(row))
    assert switches == 0
    assert sorted({row[0] for row in ids.values()}) == [1, 2, 3]


def test_weak_detections_begin_no_track_and_are_left_out() -> None:
    tracker = Tracker(25.0, THRESHOLDS)
    for number in range(5):
        given = detections((50, 50, 0.5, 0), (150, 50, 0.5, 1), (250, 50, 0.3, 0))
        found, tracks = tracker.update(given, number / 25)
        assert found.labels.tolist() == [0]  # whose threshold is 0.4, and the person's 0.6
        assert found.boxes[0].tolist() == [40, 40, 60, 60]
        assert tracks == [None if number == 0 else 1]


def test_frames_without_detections() -> None:
    tracker = Tracker(25.0, THRESHOLDS)
    for number in range(3):
        found, tracks = tracker.update(Detections.empty(SIZE), number / 25)
        assert (len(found), tracks) == (0, [])
    tracker.update(detections((50, 50, 0.9, 0)), 1.0)
    assert tracker.update(detections((50, 50, 0.9, 0)), 1.1)[1] == [1]
    assert tracker.update(Detections.empty(SIZE), 1.2)[1] == []


def walk(counter: RegionCounter, *places: tuple[float, float], label: int = 0) -> dict[str, int]:
    """The totals after one object has been at these places."""
    counts = {}
    for x, y in places:
        counts = counter.update(detections((x, y, 0.9, label)), [1], NAMES)
    return {kind: sum(by_name.values()) for kind, by_name in counts.items()}


@pytest.mark.parametrize(
    ("line", "places", "counted"),
    [
        # A line from the left to the right: its left side is up.
        ("line:0,0.5,1,0.5", [(100, 100), (100, 140)], (1, 0)),
        ("line:0,0.5,1,0.5", [(100, 140), (100, 100)], (0, 1)),
        ("line:1,0.5,0,0.5", [(100, 100), (100, 140)], (0, 1)),
        ("line:0,120,320,120", [(100, 100), (100, 140), (90, 90)], (1, 1)),
        ("line:0,120,320,120", [(100, 100), (200, 110)], (0, 0)),
        # Beside the end of a line is no crossing.
        ("line:0,120,80,120", [(100, 100), (100, 140)], (0, 0)),
        ("line:0,120,80,120", [(100, 100), (50, 140)], (1, 0)),
        ("line:0.5,0,0.5,1", [(100, 100), (200, 100)], (0, 1)),
    ],
)
def test_crossings_of_a_line(
    line: str, places: list[tuple[float, float]], counted: tuple[int, int]
) -> None:
    counter = RegionCounter(parse_region(line), SIZE)
    assert walk(counter, *places) == {"in": counted[0], "out": counted[1]}


def test_a_crossing_counts_though_the_object_is_not_seen_on_the_way() -> None:
    counter = RegionCounter(parse_region("line:0,120,320,120"), SIZE)
    walk(counter, (100, 100))
    for _ in range(10):
        counter.update(Detections.empty(SIZE), [], NAMES)
    assert walk(counter, (100, 140), label=1) == {"in": 1, "out": 0}


def test_a_zone_counts_each_object_once() -> None:
    counter = RegionCounter(parse_region("zone:50,50,150,50,150,150,50,150"), SIZE)
    inside, outside = (100, 100, 0.9, 0), (200, 100, 0.8, 1)
    counts = counter.update(detections(inside, outside), [1, 2], NAMES)
    assert counts == {"inside": {"car": 1}, "entered": {"car": 1}}
    for _ in range(2):  # both leave and come, and the second time are known
        counter.update(detections((10, 10, 0.9, 0)), [1], NAMES)
        counts = counter.update(detections(inside, (60, 60, 0.8, 1)), [1, 2], NAMES)
    assert counts == {"inside": {"car": 1, "person": 1}, "entered": {"car": 1, "person": 1}}
    assert describe(counts) == "inside 2, entered 2"
    counts = counter.update(detections(inside), [None], NAMES)
    assert counts == {"inside": {}, "entered": {"car": 1, "person": 1}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected line:x0,y0,x1,y1 or zone:x0,y0,x1,y1,x2,y2"),
        ("line:0,0,1", "expected line"),
        ("line:0,0,1,1,0,1", "expected line"),
        ("zone:0,0,1,1", "expected line"),
        ("zone:0,0,1,1,1", "expected line"),
        ("circle:0,0,1,1", "expected line"),
        ("line:0,0,1,nan", "expected line"),
        ("line:0,0,1,inf", "expected line"),
        ("line:0,0,1,-1", "expected line"),
        ("line:0,0,0,0", "expected line"),
        ("line:a,0,0,0", "expected line"),
        ("zone:0,0,1,1,0.5,0.5", "the corners enclose no area"),
    ],
)
def test_places_that_make_no_sense(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=f"^--count {text}: {message}"):
        parse_region(text)


def test_pixels_beyond_the_frame_are_refused() -> None:
    region = Region("line:0,0,400,10", ((0.0, 0.0), (400.0, 10.0)))
    with pytest.raises(DataError, match="beyond frames of 320 x 240 pixels; give fractions"):
        RegionCounter(region, SIZE)


@pytest.mark.parametrize(
    ("region", "x", "y"),
    [("line:200,40,200,160", 200, 40), ("zone:40,40,360,40,360,190,40,190", 200, 40)],
)
def test_counts_stand_at_an_end_of_a_line_and_at_the_top_of_a_zone(
    region: str, x: int, y: int
) -> None:
    """In the middle they would cover what is counted."""
    counter = RegionCounter(parse_region(region), (200, 400))
    picture = np.zeros((200, 400, 3), np.uint8)
    counter.draw_counts(picture)
    left, top, width, height = cv2.boundingRect(picture.max(axis=2))
    assert (left + width / 2, top + height / 2) == pytest.approx((x, y), abs=1)
    assert height < 30
