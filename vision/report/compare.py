"""The comparison of two detectors as a self-contained HTML page."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from vision.device import num_cores
from vision.errors import DataError
from vision.metrics.comparison import Comparison, Item
from vision.pages import MISSED, OTHER, RIGHT, WRONG, draw_part, render
from vision.report.differences import MISTAKES, class_rows, describe_images, verdict
from vision.report.gallery import Photo

NUM_SHOWN = 12
"""Maximum number of images shown in which B makes fewer mistakes; likewise for more mistakes."""
NUM_NAMED = 4
"""Maximum number of mistakes of each kind that are named below a picture."""
SIDE = 400
"""Longest side of a picture in pixels."""
MAX_SCALE = 2.0
"""Maximum factor by which an image is enlarged."""


class View(NamedTuple):
    """An image with the detections of one detector.

    Attributes:
        image: The picture as a ``data:`` URL.
        num_right: Number of right detections.
        wrong: The first few wrong detections in words.
        missed: The first few missed objects in words.
    """

    image: str
    num_right: int
    wrong: str
    missed: str


class Pair(NamedTuple):
    """An image with the detections of A and of B; ``change`` is B's mistakes minus A's."""

    name: str
    change: int
    views: tuple[View, View]


def render_comparison(
    comparison: Comparison,
    names: tuple[str, str],
    notes: Sequence[str],
    photos: Sequence[Photo] | None = None,
) -> str:
    """Render the comparison as a page.

    Args:
        comparison: The numbers.
        names: Names of the detectors A and B.
        notes: Lines that say which data are compared, and what is left out.
        photos: The images; None for a page without pictures.
    """
    first, second = comparison.count_mistakes()
    change = second - first
    changed = comparison.changed_images()
    better = [image for image in changed if change[image] < 0]
    worse = [image for image in changed if change[image] > 0]
    rows = class_rows(comparison)
    return render(
        Path(__file__).with_name("compare.html"),
        names=names,
        notes=[*notes, describe_images(comparison)],
        verdict=verdict(comparison),
        comparison=comparison,
        rows=rows,
        largest=max(abs(row.ap_change) for row in rows) or 1.0,
        absent=comparison.metrics[0].absent_names,
        mistakes=MISTAKES,
        groups=[
            ("B makes fewer mistakes", len(better), _draw_pairs(comparison, better, photos)),
            ("B makes more mistakes", len(worse), _draw_pairs(comparison, worse, photos)),
        ],
        has_photos=photos is not None,
    )


def _draw_pairs(
    comparison: Comparison, images: Sequence[int], photos: Sequence[Photo] | None
) -> list[Pair]:
    """Draw the first `NUM_SHOWN` images as pairs of pictures; unreadable ones are left out."""
    if photos is None:
        return []
    mistakes = comparison.count_mistakes()

    def draw(image: int) -> Pair | None:
        try:
            views = _draw_views(comparison, image, photos[image])
        except DataError:
            return None
        return Pair(photos[image].name, int(mistakes[1, image] - mistakes[0, image]), views)

    with ThreadPoolExecutor(num_cores()) as pool:
        return [pair for pair in pool.map(draw, images[:NUM_SHOWN]) if pair is not None]


def _draw_views(comparison: Comparison, image: int, photo: Photo) -> tuple[View, View]:
    pixels, class_names = photo.read(), comparison.metrics[0].names
    frame = (0.0, 0.0, float(pixels.shape[1]), float(pixels.shape[0]))
    views = []
    for outcomes in comparison.outcomes:
        right, wrong, missed = outcomes.of_image(image)
        layers = [
            (OTHER, photo.boxes),
            *(
                (pen, [item.box for item in items])
                for pen, items in ((RIGHT, right), (MISSED, missed), (WRONG, wrong))
            ),
        ]
        picture = draw_part(pixels, frame, layers, MAX_SCALE, SIDE)
        views.append(
            View(picture, len(right), _words(wrong, class_names), _words(missed, class_names))
        )
    return views[0], views[1]


def _words(items: Sequence[Item], names: Sequence[str]) -> str:
    words = [
        names[item.label] + ("" if item.score is None else f" {item.score:.2f}")
        for item in items[:NUM_NAMED]
    ]
    more = len(items) - NUM_NAMED
    return ", ".join([*words, *([f"{more} more"] if more > 0 else [])])
