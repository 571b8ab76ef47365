"""The comparison of two detectors: its verdict, its tables, and the page in a browser."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.browser import assert_needs_no_network, needs_browser, opened
from tests.metrics.samples import detections, perfect, random_data, target
from vision.errors import DataError
from vision.metrics import evaluate_detections
from vision.metrics.comparison import Comparison, Difference, compare_detections
from vision.report import Photo, render_comparison, text_lines, verdict
from vision.report.differences import class_rows

NAMES = ("cat", "<dog>", "cow", "owl")
BOX, OTHER = (10.0, 10.0, 60.0, 60.0), (100.0, 20.0, 160.0, 70.0)
PROBE = """
const note = (key, value) => { document.documentElement.dataset[key] = value; };
note("wide", document.documentElement.scrollWidth);
note("back", getComputedStyle(document.body).backgroundColor);
note("broken", [...document.images].filter((image) => !image.naturalWidth).length);
"""


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    """B finds the cat that A misses, and in another image sees a dog where there is none."""
    truth = [target([BOX, OTHER], [0, 1]), target([BOX], [0]), target([BOX], [1]), target()]
    first = [detections([OTHER], [0.9], [1]), *map(perfect, truth[1:])]
    second = [*map(perfect, truth[:3]), detections([BOX, OTHER], [1.0, 0.5], [1, 1])]
    return compare_detections(first, second, truth, NAMES, 20)


def photos() -> list[Photo]:
    def missing() -> np.ndarray:
        raise DataError("image c.jpg does not exist")

    grey = np.full((90, 180, 3), 120, np.uint8)
    present = [Photo(f"<{name}>.jpg", lambda: grey, [BOX]) for name in "abd"]
    return [*present[:2], Photo("c.jpg", missing, []), present[2]]


def page_of(comparison: Comparison, pictures: Sequence[Photo] | None) -> str:
    notes = ["on <data>", "left out, known to A alone: walrus"]
    return render_comparison(comparison, ("runs/<a>", "b.json"), notes, pictures)


def of_differences(comparison: Comparison, voc: Difference, coco: Difference) -> str:
    return verdict(replace(comparison, differences={"voc.mAP50": voc, "coco.AP": coco}))


FEW = " With only 4 boxes, the intervals are too narrow to rely on."


@pytest.mark.parametrize(
    ("voc", "coco", "text"),
    [
        (
            Difference(0.5, 0.6, 0.05, 0.15),
            Difference(0.3, 0.321, 0.008, 0.035),
            (
                "B is better by 0.100 in voc.mAP50 (95% interval 0.050 to 0.150) and 0.021 in"
                " coco.AP (95% interval 0.008 to 0.035)."
            ),
        ),
        (
            Difference(0.6, 0.5, -0.15, -0.05),
            Difference(0.3, 0.31, -0.01, 0.03),
            (
                "A is better by 0.100 in voc.mAP50 (95% interval 0.050 to 0.150); there is no clear"
                " difference on 4 images in coco.AP (95% interval -0.010 to 0.030)."
            ),
        ),
        (
            Difference(0.6, 0.5, -0.15, 0.0),
            Difference(0.3, 0.3, 0.0, 0.0),
            (
                "There is no clear difference on 4 images in voc.mAP50 (95% interval -0.150 to"
                " 0.000) and coco.AP (95% interval 0.000 to 0.000)."
            ),
        ),
        (
            Difference(0.6, 0.5, -0.15, -0.05),
            Difference(0.3, 0.4, 0.05, 0.15),
            (
                "B is better by 0.100 in coco.AP (95% interval 0.050 to 0.150); A is better by"
                " 0.100 in voc.mAP50 (95% interval 0.050 to 0.150)."
            ),
        ),
    ],
)
def test_the_verdict_names_what_can_be_told(
    comparison: Comparison, voc: Difference, coco: Difference, text: str
) -> None:
    assert of_differences(comparison, voc, coco) == text + FEW


def test_differences_of_classes_are_those_of_two_evaluations() -> None:
    first, truth = random_data(2, 30, len(NAMES) - 1)
    second = [one[: len(one) // 2] for one in first]
    rows = class_rows(compare_detections(first, second, truth, NAMES, 2))
    before, after = (evaluate_detections(one, truth, NAMES) for one in (first, second))
    assert sorted(row.name for row in rows) == sorted(NAMES[:3])  # no image shows an owl
    assert [row.ap_change for row in rows] == sorted((row.ap_change for row in rows), reverse=True)
    for row in rows:
        label = NAMES.index(row.name)
        assert row.num_boxes == before.voc.num_boxes[label] > 0
        assert row.ap50 == (before.voc.ap[label], after.voc.ap[label])
        assert row.ap == (before.coco.per_class[label], after.coco.per_class[label])
        assert row.ap[0] - row.ap[1] == -row.ap_change > 0


def test_the_tables_list_classes_and_images(comparison: Comparison) -> None:
    lines = list(text_lines(comparison, ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]))
    words = [line.split() for line in lines]
    assert lines[0] == "4 images, 4 boxes of 2 classes"
    assert ["cat", "2", "0.500", "1.000", "+0.500", "0.505", "1.000", "+0.495"] in words
    assert ["a.jpg", "1", "0", "-1"] in words
    assert ["d.jpg", "0", "1", "+1"] in words
    assert lines[-1].startswith("B makes fewer mistakes in 1 image, more in 1, as many in 2. ")
    assert len({len(line) for line in lines if re.match("(class|cat|<dog>) ", line)}) == 1


def test_the_page_needs_no_network_and_escapes_names(comparison: Comparison) -> None:
    text = page_of(comparison, photos())
    assert_needs_no_network(text)
    assert "http" not in text
    for name in ("runs/<a>", "on <data>", "<dog>", "<a>.jpg"):
        assert name not in text
        assert name.replace("<", "&lt;").replace(">", "&gt;") in text
    assert verdict(comparison) in text
    assert "2 classes without a box here: cow, owl." in text


def test_pictures_show_what_each_detector_does(comparison: Comparison) -> None:
    text = page_of(comparison, photos())
    figures = re.findall(r"<figure>.*?</figure>", text, re.DOTALL)
    shown = [" ".join(re.sub("<[^>]*>", "", figure).split()) for figure in figures]
    assert shown == [
        "A 1 right; missed: cat B 2 right -1 mistake &lt;a&gt;.jpg",
        "A 0 right B 0 right; wrong: &lt;dog&gt; 1.00 +1 mistake &lt;d&gt;.jpg",
    ]
    assert text.count("<img") == 4
    nothing = page_of(comparison, [photos()[2]] * 4)
    assert "<img" not in nothing
    assert "B makes fewer mistakes in 1 of 4 images" in nothing
    assert "There are no pictures: name the folder of the images with --images." in page_of(
        comparison, None
    )


@pytest.mark.slow
@needs_browser
@pytest.mark.parametrize(
    ("width", "options", "back"),
    [
        (1200, [], "rgb(255, 255, 255)"),
        (500, [], "rgb(255, 255, 255)"),
        (1200, ["--force-dark-mode"], "rgb(20, 23, 26)"),
    ],
)
def test_a_browser_shows_the_page_without_errors(
    comparison: Comparison, width: int, options: list[str], back: str, tmp_path: Path
) -> None:
    """Nothing is wider than the window, and no error is on the console."""
    text = page_of(comparison, photos()).replace("</body>", f"<script>{PROBE}</script></body>")
    found = opened(text, width, tmp_path, "", *options)
    assert int(found.pop("wide")) <= width
    assert found == {"back": back, "broken": "0"}
