"""The report as one HTML page, which needs no other files and no network access."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from vision.check.kinds import LEVELS
from vision.check.report import CheckReport, Finding, Place
from vision.device import num_cores
from vision.formats import Annotations, Record
from vision.pages import render, thumbnail

MAX_SHOWN = 12
"""Maximum number of places that are shown as pictures, for each kind."""
MAX_LISTED = 200
"""Maximum number of further places that are listed, for each kind."""


class Picture(NamedTuple):
    """A place with thumbnails of its image and of the image that this duplicates, if any."""

    place: Place
    image: str
    other: str | None


def render_page(report: CheckReport, splits: Mapping[str, Annotations], title: str) -> str:
    """Render the report as HTML.

    Args:
        report: The report.
        splits: The data, whose images are read again for thumbnails.
        title: The heading, which names the data.
    """
    records = {
        (split, record.image_id): record
        for split, annotations in splits.items()
        for record in annotations.records
    }
    with ThreadPoolExecutor(num_cores()) as pool:
        sections = [(finding, *_pictures(finding, records, pool)) for finding in report.findings]
    return render(
        Path(__file__).with_name("page.html"),
        title=title,
        report=report,
        levels=LEVELS,
        sections=sections,
        largest_class=max((sum(row.values()) for row in report.classes.values()), default=0),
        max_listed=MAX_LISTED,
    )


def _pictures(
    finding: Finding, records: Mapping[tuple[str, str], Record], pool: ThreadPoolExecutor
) -> tuple[list[Picture], list[Place]]:
    """The first places of a finding as pictures, and the places without a picture."""

    def picture(place: Place) -> Picture | None:
        image = thumbnail(records.get((place.split, place.file)), place.boxes)
        twin = place.other if place.other != (place.split, place.file) else None
        other = thumbnail(records.get(twin), ()) if twin else None
        return None if image is None else Picture(place, image, other)

    shown = [made for made in pool.map(picture, finding.places[:MAX_SHOWN]) if made is not None]
    seen = {id(made.place) for made in shown}
    return shown, [place for place in finding.places if id(place) not in seen]
