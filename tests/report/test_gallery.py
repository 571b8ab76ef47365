"""Pictures of faults: which ones, of which part of the image, with which words."""

import base64
from collections import Counter

import cv2
import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from tests.report.samples import CAT, COW, DOG, MISTAKES, NAMES, mistake, suspects
from vision.errors import DataError
from vision.metrics.analysis import Mistake, Suspect
from vision.report import Photo
from vision.report.gallery import draw_gallery, list_suspects
from vision.report.selection import choose, choose_suspects

BLUE, GREEN = (20, 40, 200), (30, 160, 60)


def photo(name: str = "a.jpg") -> Photo:
    """A green image with a blue rectangle, which is the labelled box."""
    image = np.full((100, 200, 3), GREEN, np.uint8)
    image[40:60, 120:180] = BLUE
    return Photo(name, lambda: image, [(120.0, 40.0, 180.0, 60.0)])


def broken() -> UInt8[ndarray, "h w 3"]:
    raise DataError("image b.jpg does not exist")


def pixels(address: str) -> UInt8[ndarray, "h w 3"]:
    head, _, text = address.partition(",")
    assert head == "data:image/jpeg;base64"
    decoded = cv2.imdecode(np.frombuffer(base64.b64decode(text), np.uint8), cv2.IMREAD_COLOR_RGB)
    return np.asarray(decoded, np.uint8)


def test_each_class_comes_before_any_comes_twice() -> None:
    faults = [
        *[mistake("missed", CAT, image) for image in range(5)],
        mistake("missed", DOG, 5),
        mistake("background", CAT, 6),
        mistake("missed", COW, 7),
        mistake("missed", DOG, 8),
    ]
    chosen = [(fault.kind, fault.image) for fault in choose(faults, 4)]
    assert chosen == [("missed", 0), ("missed", 5), ("missed", 7), ("missed", 1), ("background", 6)]
    assert choose(faults, 9)[:6] == [faults[k] for k in (0, 5, 7, 1, 8, 2)]


def test_suspects_are_those_of_the_classes_that_have_most() -> None:
    """Sixteen at most of each kind and class; cats and dogs that are swapped count together."""
    doubts = [
        *suspects("missing box", DOG, 4),
        *suspects("missing box", COW, 30),
        *suspects("other class", CAT, 5, true=DOG),
        *suspects("other class", DOG, 4, true=CAT),
        *suspects("unfound box", CAT, 1, true=CAT),
    ]
    counts = Counter((one.kind, one.label) for one in choose_suspects(doubts))
    assert list(counts.items()) == [
        (("missing box", COW), 16),
        (("other class", CAT), 5),
        (("other class", DOG), 4),
        (("missing box", DOG), 4),
        (("unfound box", CAT), 1),
    ]
    few = Counter((one.kind, one.label) for one in choose_suspects(doubts, 27))
    assert few == counts - Counter({("missing box", DOG): 3})


def test_suspects_as_text_name_files() -> None:
    doubts = [
        Suspect("other class", 1, (0.0, 0.0, 9.0, 9.0), CAT, 0.876, DOG),
        Suspect("unfound box", 1, (0.0, 0.0, 9.0, 9.0), COW, None, COW),
        Suspect("missing box", 0, (0.0, 0.0, 9.0, 9.0), DOG, 0.5, None),
    ]
    lines = list_suspects(doubts, [photo("a.jpg"), photo("b.jpg")], NAMES)
    assert [(line.kind, line.label, line.true, line.text) for line in lines] == [
        ("missing box", "dog", "", "a.jpg: missing box, dog (0.50)"),
        ("other class", "cat", "dog", "b.jpg: other class, cat labelled dog (0.88)"),
        ("unfound box", "cow", "cow", "b.jpg: unfound box, cow"),
    ]


def test_captions_say_what_is_wrong() -> None:
    photos = [photo("a.jpg"), photo("b.jpg"), photo("c.jpg")]
    others = [mistake("localisation", CAT, true=CAT), mistake("both", CAT, true=DOG)]
    shown = draw_gallery([*MISTAKES, *others, mistake("duplicate", COW, true=COW)], photos, NAMES)
    assert [(picture.kind, picture.caption, picture.name) for picture in shown] == [
        ("classification", "cat 0.75, labelled dog", "a.jpg"),
        ("background", "dog 0.75, nothing labelled", "a.jpg"),
        ("background", "cat 0.75, nothing labelled", "b.jpg"),
        ("missed", "cow is not found", "b.jpg"),
        ("missed", "cow is not found", "c.jpg"),
        ("localisation", "cat 0.75, IoU 0.60", "a.jpg"),
        ("both", "cat 0.75 near dog, IoU 0.60", "a.jpg"),
        ("duplicate", "cow 0.75, already detected", "a.jpg"),
    ]
    doubts = [
        *suspects("missing box", CAT, 1),
        *suspects("other class", CAT, 1, true=DOG),
        *suspects("unfound box", COW, 1),
    ]
    assert [picture.caption for picture in draw_gallery(doubts, photos, NAMES)] == [
        "cat 0.90, no labelled box: is one missing?",
        "labelled dog, found as cat 0.90",
        "labelled cow, not found: is the label right?",
    ]


def test_a_picture_is_the_part_around_the_box_enlarged() -> None:
    box = (120.0, 40.0, 180.0, 60.0)
    fault = Mistake("missed", 0, box, CAT, None, CAT, box, 0.0)
    (picture,) = draw_gallery([fault], [photo()], NAMES)
    image = pixels(picture.image)
    assert image.shape[1] == 220  # the longest side of 104 x 68 pixels
    assert image.shape[0] == round(220 * 68 / 104)
    np.testing.assert_allclose(image[image.shape[0] // 2, 110], BLUE, atol=12)
    np.testing.assert_allclose(image[8, 8], GREEN, atol=12)
    scale = 220 / 104
    edge = image[image.shape[0] // 2, round(24 * scale)]  # red, left of the middle
    assert edge[0] > 180
    assert edge[1] < 120


def test_images_that_cannot_be_read_are_left_out() -> None:
    photos = [photo(), Photo("b.jpg", broken, []), photo("c.jpg")]
    shown = draw_gallery(MISTAKES, photos, NAMES)
    assert [picture.name for picture in shown] == ["a.jpg", "a.jpg", "c.jpg"]
