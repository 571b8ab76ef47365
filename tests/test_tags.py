"""Where tags of boxes go: inside the image, none on another, the first where it is asked for."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from vision.tags import Corners, Style, place_tags

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
