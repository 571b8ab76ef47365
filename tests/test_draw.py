"""Drawing: what changes at every size, labels that are refused, and where tags go."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import UInt8
from numpy import ndarray
from torch import Tensor

from vision.detections import Detections
from vision.draw import Corners, Style, class_colour, draw_detections, place_tags
from vision.engine.pictures import draw_legend, draw_target
from vision.structures import Target

NAMES = ["cat", "dog", "person"]
GREY = 90


def _grey(height: int, width: int) -> UInt8[ndarray, "h w 3"]:
    return np.full((height, width, 3), GREY, np.uint8)


def _detections(boxes: list[list[float]], labels: list[int] | None = None) -> Detections:
    tensor = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    scores = torch.linspace(0.9, 0.5, len(boxes))
    return Detections(tensor, scores, torch.tensor(labels or [0] * len(boxes), dtype=torch.int64))


def _target(boxes: list[list[float]], ignore: list[bool]) -> Target:
    tensor = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    labels = torch.zeros(len(boxes), dtype=torch.int64)
    return Target(tensor, labels, torch.tensor(ignore, dtype=torch.bool))


def test_nothing_is_drawn_for_nothing() -> None:
    image = _grey(40, 60)
    for drawn in (
        draw_detections(image, Detections.empty(), NAMES),
        draw_target(image, _target([], []), NAMES),
    ):
        np.testing.assert_array_equal(drawn, image)
        assert drawn is not image
        assert not np.shares_memory(drawn, image)


INF, NAN = float("inf"), float("nan")


@pytest.mark.parametrize(
    ("box", "is_drawn"),
    [
        ([10, 10, 50, 30], True),
        ([0, 0, 100, 80], True),
        ([-20, -20, 30, 30], True),
        ([-1e9, -1e9, 1e9, 1e9], True),
        ([-INF, 5, INF, 9], True),
        ([20, 20, 21, 21], True),
        ([20, 20, 20, 20], True),
        ([99.6, 79.7, 100, 80], True),
        ([100, 10, 120, 30], False),
        ([-30, 10, 0, 30], False),
        ([10, 90, 20, 95], False),
        ([NAN, 10, 50, 30], False),
        ([10, 10, 50, NAN], False),
    ],
)
def test_each_box_that_touches_the_image_is_drawn(box: list[float], is_drawn: bool) -> None:
    image = _grey(80, 100)
    assert (draw_detections(image, _detections([box]), NAMES) != image).any() == is_drawn
    assert (draw_target(image, _target([box], [False]), NAMES) != image).any() == is_drawn


def test_a_box_is_outlined_in_its_own_columns_and_rows() -> None:
    drawn = draw_detections(_grey(120, 160), _detections([[40, 50, 90, 100]]), NAMES)
    colour = list(class_colour(0))
    for y, x in ((50, 80), (99, 80), (70, 40), (70, 89)):
        assert drawn[y, x].tolist() == colour
    for y, x in ((75, 60), (101, 80), (70, 92), (70, 37)):
        assert drawn[y, x].tolist() == [GREY] * 3


def test_the_best_detection_is_on_top() -> None:
    both = _detections([[40, 50, 90, 100], [40, 50, 90, 100]], [1, 2])
    best = draw_detections(_grey(120, 160), both[:1], NAMES)
    assert draw_detections(_grey(120, 160), both, NAMES)[70, 40].tolist() == best[70, 40].tolist()


def test_ignored_boxes_are_dashed() -> None:
    drawn = draw_target(
        _grey(200, 400), _target([[20, 20, 180, 150], [220, 20, 380, 150]], [False, True]), NAMES
    )
    solid, dashed = drawn[20, 30:170], drawn[20, 230:370]
    assert (solid == 255).all()
    assert (dashed == 255).all(axis=1).any()
    assert (dashed == GREY).all(axis=1).any()


@pytest.mark.parametrize("size", [(16, 16), (1, 1), (16, 300), (300, 16), (3000, 4000)])
def test_every_size_of_image(size: tuple[int, int]) -> None:
    height, width = size
    boxes = [[0.0, 0, width, height], [width - 1.0, height - 1, width, height], [0.0, 0, 1, 1]]
    image = _grey(height, width)
    drawn = draw_detections(image, _detections(boxes), ["a name longer than the image"])
    assert drawn.shape == image.shape
    assert (drawn != image).any()
    assert (draw_target(image, _target(boxes, [True, False, True]), NAMES) != image).any()


@pytest.mark.parametrize("corner", [(0, 0), (0, 280), (180, 0), (180, 280)])
def test_tags_stay_inside_the_image(corner: tuple[int, int]) -> None:
    """As many pixels of a tag are drawn for a box in a corner as for one in the middle."""
    y, x = corner
    boxes = torch.tensor([[100.0, 80, 120, 100], [x, y, x + 20, y + 20]])

    def tag_pixels(box: Tensor) -> int:
        drawn = draw_detections(_grey(200, 300), _detections([box.tolist()]), ["person"])
        ink = (drawn == 255).all(axis=2) | (drawn == 0).all(axis=2)
        return int(ink.sum())

    in_the_middle, in_the_corner = (tag_pixels(box) for box in boxes)
    assert in_the_corner == in_the_middle > 0


@pytest.mark.parametrize(
    "name", ["", "Ärger", "猫", "кот", "two\nlines", "nul\0", "\ud800", "🦊", "a" * 500, "e\u0301"]
)
def test_any_name_is_drawn(name: str) -> None:
    image = _grey(60, 80)
    assert (draw_detections(image, _detections([[5, 30, 40, 50]]), [name]) != image).any()
    assert (draw_target(image, _target([[5, 30, 40, 50]], [False]), [name]) != image).any()


@pytest.mark.parametrize("label", [-1, 3, 1000])
def test_a_label_without_a_name_is_refused(label: int) -> None:
    detections = _detections([[900, 900, 901, 901], [1, 1, 5, 5]], [0, label])
    with pytest.raises(ValueError, match=f"label {label} has no name: there are 3 names"):
        draw_detections(_grey(20, 20), detections, NAMES)
    target = Target(detections.boxes, detections.labels)
    with pytest.raises(ValueError, match=f"label {label} has no name"):
        draw_target(_grey(20, 20), target, NAMES)


def test_colours_are_distinct_and_near_labels_far_apart() -> None:
    colours = np.array([class_colour(label) for label in range(200)], int)
    assert len({tuple(colour) for colour in colours.tolist()}) == 200
    steps = np.abs(np.diff(colours, axis=0)).sum(axis=1)
    assert steps.min() > 100
    assert class_colour(7) == class_colour(7)


@pytest.mark.parametrize(
    ("size", "rows"),
    [
        ((75, 100), 2),
        ((1000, 100), 2),
        ((120, 160), 1),
        ((100, 333), 1),
        ((960, 1280), 1),
        ((3000, 4000), 1),
        ((300, 4000), 1),
    ],
)
def test_the_legend_stands_complete_below_the_image(size: tuple[int, int], rows: int) -> None:
    image = _grey(*size)
    image[::2] = 130
    drawn = draw_legend(image)
    np.testing.assert_array_equal(drawn[: size[0]], image)
    strip = drawn[size[0] :]
    ink = np.any(strip != strip[0, 0], axis=2)
    for edge in (ink[0], ink[-1], ink[:, 0], ink[:, -1]):
        assert not edge.any()
    assert (np.diff(ink.any(axis=1).astype(int)) == 1).sum() == rows
    for colour in ((0, 0, 0), (255, 255, 255), *map(class_colour, range(3))):
        assert np.all(strip == colour, axis=2).any()


@pytest.mark.parametrize("size", [(1, 1), (16, 16), (300, 16), (16, 300)])
def test_a_legend_is_made_for_every_size_of_image(size: tuple[int, int]) -> None:
    drawn = draw_legend(_grey(*size))
    assert drawn.shape[0] > size[0]
    assert drawn.shape[1:] == (size[1], 3)


def ink(found: Detections, height: int, width: int) -> UInt8[ndarray, "h w"]:
    """Where something is drawn beside the boxes: their tags."""
    image = _grey(height, width)
    drawn = draw_detections(image, found, NAMES)
    lines = image.copy()
    for x0, y0, x1, y1 in found.boxes.int().tolist():
        for y in (y0, y1 - 1):
            lines[y, x0:x1] = 1
        for x in (x0, x1 - 1):
            lines[y0:y1, x] = 1
    return np.asarray((drawn != image).any(axis=2) & (lines != 1).all(axis=2), np.uint8)


def test_tags_take_little_of_a_picture_of_100_pixels() -> None:
    """Three of them took a third of it."""
    boxes = [[5.0, 10.0, 50.0, 90.0], [45.0, 12.0, 70.0, 80.0], [60.0, 20.0, 95.0, 95.0]]
    assert 0.05 < ink(_detections(boxes, [0, 1, 2]), 100, 100).mean() < 0.2


def test_tags_of_boxes_that_lie_close_together_are_all_there() -> None:
    """Two have nearly twice the pixels of one, if neither covers the other."""
    one = [[40.0, 60.0, 200.0, 200.0]]
    both = [*one, [43.0, 62.0, 201.0, 199.0]]
    single = int(ink(_detections(one), 300, 300).sum())
    assert 1.8 * single < int(ink(_detections(both), 300, 300).sum()) <= 2 * single


COORDINATES = st.floats(-200, 300, width=32)


@given(
    st.integers(1, 120),
    st.integers(1, 120),
    st.lists(st.tuples(COORDINATES, COORDINATES, COORDINATES, COORDINATES), max_size=5),
)
@settings(max_examples=60, deadline=None)
def test_the_input_is_never_changed(
    height: int, width: int, boxes: list[tuple[float, float, float, float]]
) -> None:
    image = np.arange(height * width * 3, dtype=np.uint8).reshape(height, width, 3)[:, ::-1]
    before = image.copy()
    rows = [list(box) for box in boxes]
    labels = [k % len(NAMES) for k in range(len(rows))]
    draw_detections(image, _detections(rows, labels), NAMES)
    draw_target(image, _target(rows, [k % 2 == 0 for k in range(len(rows))]), NAMES)
    draw_legend(image)
    np.testing.assert_array_equal(image, before)


SIDE = 300
STYLE = Style.for_image(np.zeros((SIDE, SIDE, 3), np.uint8))


def box(x: int, y: int, width: int = 40, height: int = 60) -> Corners:
    return x, y, min(x + width, SIDE) - 1, min(y + height, SIDE) - 1


BOXES = st.builds(box, st.integers(0, SIDE - 1), st.integers(0, SIDE - 1), st.integers(1, SIDE))
TEXTS = st.sampled_from([("person 0.87", "person"), ("dog 0.50", "dog"), ("x" * 100,)])


def places_of(*boxes: Corners, below: bool = False) -> list[Corners]:
    tags = [(corners, ("dog 0.87", "dog")) for corners in boxes]
    return [place for _, _, place in place_tags(tags, (SIDE, SIDE), STYLE, below=below)]


@given(st.lists(st.tuples(BOXES, TEXTS), max_size=30), st.booleans())
def test_no_pixel_belongs_to_two_tags(
    tags: list[tuple[Corners, tuple[str, ...]]], below: bool
) -> None:
    owners = np.zeros((SIDE, SIDE), int)
    placed = list(place_tags(tags, (SIDE, SIDE), STYLE, below=below))
    for number, text, (left, top, right, bottom) in placed:
        assert text in tags[number][1]
        assert top >= 0
        assert left >= 0
        assert bottom < SIDE
        height, width = STYLE.tag_size(text)
        assert (bottom - top + 1, right - left + 1) == (height, width)
        owners[top : bottom + 1, left : right + 1] += 1
    assert owners.max() <= 1
    assert [number for number, _, _ in placed] == sorted({number for number, _, _ in placed})
    if tags and "x" not in tags[0][1][0]:
        assert placed[0][:2] == (0, tags[0][1][0])


def test_a_tag_is_above_its_box_or_else_below_or_inside() -> None:
    height, width = STYLE.tag_size("dog 0.87")
    free = box(100, 100)
    assert places_of(free) == [(100, 100 - height, 99 + width, 99)]
    assert places_of(free, below=True) == [(100, 160, 99 + width, 159 + height)]
    assert places_of(box(100, 0)) == [(100, 0, 99 + width, height - 1)]
    assert places_of(box(SIDE - 5, 100))[0][2] == SIDE - 1


def test_tags_of_equal_boxes_give_way_until_there_is_no_room() -> None:
    height, _ = STYLE.tag_size("dog 0.87")
    places = places_of(*[box(100, 100, width=44)] * 40)
    tops = [100 - height, 100, 160, 160 - height]
    assert [place[1] for place in places[:4]] == tops
    assert len(places) < 10


def test_a_tag_without_room_for_its_score_says_the_class() -> None:
    """Between two tags above it and what lies below, the shorter one fits."""
    _, long_width = STYLE.tag_size("person 0.87")
    _, short_width = STYLE.tag_size("person")
    size = (STYLE.tag_size("x")[0], long_width + short_width + 1)
    tags = [
        ((0, 0, 5, 5), ("person 0.87", "person")),
        ((long_width, 0, size[1] - 1, 5), ("person 0.50", "person")),
    ]
    assert [text for _, text, _ in place_tags(tags, size, STYLE)] == ["person 0.87", "person"]
