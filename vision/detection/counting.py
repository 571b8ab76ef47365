"""Counting tracked objects that cross a line or enter a zone."""

# n points of a line or zone, h and w the height and width of a frame

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import cv2
import numpy as np
from jaxtyping import Float32, UInt8
from numpy import ndarray

from vision.detections import Detections
from vision.draw import Style
from vision.errors import ConfigError, DataError
from vision.rows import describe_counts

Point = tuple[float, float]
Counts = dict[str, dict[str, int]]

_FORM = "expected line:x0,y0,x1,y1 or zone:x0,y0,x1,y1,x2,y2,..."
_WHITE = (255, 255, 255)


@dataclass(frozen=True, slots=True)
class Region:
    """A line or zone in which objects are counted.

    Attributes:
        text: The text from which `parse_region` made it; its name in results.
        points: x and y of the two ends of a line, or of the corners of a zone: fractions of a
            frame's width and height if none is greater than 1, else pixels.
    """

    text: str
    points: tuple[Point, ...]

    def pixels(self, size: tuple[int, int]) -> Float32[ndarray, "n 2"]:
        """Convert the points to pixels of a frame.

        Args:
            size: (height, width) of the frame.

        Raises:
            DataError: If a point is outside the frame.
        """
        points = np.array(self.points, np.float32)
        height, width = size
        wh = np.array([width, height], np.float32)
        if points.max() <= 1:
            return points * wh
        if (points > wh).any():
            raise DataError(
                f"--count {self.text}: it reaches beyond frames of {width} x {height} pixels; give"
                " fractions from 0 to 1 for videos of several sizes"
            )
        return points


def parse_region(text: str) -> Region:
    """Parse ``line:x0,y0,x1,y1`` or ``zone:x0,y0,x1,y1,x2,y2,...``.

    Raises:
        ConfigError: If the text has another form, a line has no length, or a zone has no area.
    """
    kind, _, numbers = text.partition(":")
    try:
        values = [float(number) for number in numbers.split(",")]
    except ValueError:
        values = []
    points = tuple(zip(values[::2], values[1::2], strict=False))
    is_complete = len(values) % 2 == 0 and all(0 <= value < float("inf") for value in values)
    if kind == "line" and is_complete and len(points) == 2 and points[0] != points[1]:
        return Region(text, points)
    if kind == "zone" and is_complete and len(points) > 2:
        if cv2.contourArea(np.array(points, np.float32)) > 0:
            return Region(text, points)
        raise ConfigError(f"--count {text}: the corners enclose no area")
    raise ConfigError(f"--count {text}: {_FORM}, in fractions from 0 to 1 or in pixels")


@final
class RegionCounter:
    """Counts tracked objects over the frames of one video, by class name.

    The centre of its box is an object's position. A line counts crossings from left to right, seen
    from its first end to its second, as ``in`` and the opposite ones as ``out``. A zone counts the
    objects ``inside`` it now, and as ``entered`` all that have been inside so far, each once.

    Args:
        region: The line or zone.
        size: (height, width) of the frames.

    Raises:
        DataError: If a point of the region is outside the frame.
    """

    def __init__(self, region: Region, size: tuple[int, int]) -> None:
        self.region = region
        self._points = region.pixels(size)
        self._is_line = len(region.points) == 2
        self._before: dict[int, Point] = {}
        self._entered: set[int] = set()
        kinds = ("in", "out") if self._is_line else ("inside", "entered")
        self._counts: dict[str, Counter[str]] = {kind: Counter() for kind in kinds}

    def update(
        self, detections: Detections, tracks: Sequence[int | None], names: Sequence[str]
    ) -> Counts:
        """Process the next frame and return the counts; detections without a track are ignored."""
        if not self._is_line:
            self._counts["inside"].clear()
        boxes, labels = detections.boxes.tolist(), detections.labels.tolist()
        for (x0, y0, x1, y1), label, track in zip(boxes, labels, tracks, strict=True):
            if track is not None:
                count = self._cross if self._is_line else self._enter
                count(track, ((x0 + x1) / 2, (y0 + y1) / 2), names[label])
        return {kind: dict(counter) for kind, counter in self._counts.items()}

    def draw_outline(self, picture: UInt8[ndarray, "h w 3"]) -> None:
        """Draw the line or zone in place, before the objects, whose tags it must not cover."""
        points = np.round(self._points).astype(np.int32)
        for colour, width in Style.for_image(picture).outlined:
            cv2.polylines(picture, [points], not self._is_line, colour, width)

    def draw_counts(self, picture: UInt8[ndarray, "h w 3"]) -> None:
        """Draw the counts in place: at the first end of a line, or at the top of a zone."""
        style, points = Style.for_image(picture), self._points
        text = describe(self._counts)
        height, width = style.tag_size(text)
        (left, top), right = points.min(axis=0), points[:, 0].max()
        x, y = points[0] if self._is_line else ((left + right) / 2, top)
        x0 = max(0, min(int(x) - width // 2, picture.shape[1] - width))
        y0 = max(0, min(int(y) - height // 2, picture.shape[0] - height))
        style.draw_tag(picture, text, (x0, y0, x0 + width - 1, y0 + height - 1), _WHITE)

    def _cross(self, track: int, now: Point, name: str) -> None:
        before = self._before.get(track, now)
        self._before[track] = now
        start, end = self._points.tolist()
        was_left, is_left = _is_left(start, end, before), _is_left(start, end, now)
        if was_left != is_left and _is_left(before, now, start) != _is_left(before, now, end):
            self._counts["in" if was_left else "out"][name] += 1

    def _enter(self, track: int, now: Point, name: str) -> None:
        if cv2.pointPolygonTest(self._points, now, measureDist=False) < 0:
            return
        self._counts["inside"][name] += 1
        if track not in self._entered:
            self._entered.add(track)
            self._counts["entered"][name] += 1


def describe(counts: Mapping[str, Mapping[str, int]], *, classes: bool = False) -> str:
    """Format counts as ``in 3, out 1``, or by class: ``in 3 (2 dogs, 1 cat), out 1 (1 dog)``."""
    texts = []
    for kind, by_name in counts.items():
        what = f" ({describe_counts(by_name)})" if classes and by_name else ""
        texts.append(f"{kind} {sum(by_name.values())}{what}")
    return ", ".join(texts)


def _is_left(start: Sequence[float], end: Sequence[float], point: Sequence[float]) -> bool:
    """Whether a point is left of a line, seen from its start to its end; y points down."""
    along = (end[0] - start[0], end[1] - start[1])
    return along[0] * (point[1] - start[1]) - along[1] * (point[0] - start[0]) < 0
