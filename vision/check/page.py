"""The report as one HTML page, which needs no other file and no network."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined

import vision
from vision.check.report import LEVELS, CheckReport, Finding, Place
from vision.check.thumbnails import thumbnail
from vision.device import num_cores
from vision.formats import Annotations, Record

MAX_SHOWN = 12
"""Places of a kind that are shown as pictures."""
MAX_LISTED = 200
"""Further places of a kind that are listed."""


class Picture(NamedTuple):
    """A place with its thumbnails: of the image, and of the one that it equals."""

    place: Place
    image: str | None
    other: str | None


def render_page(report: CheckReport, splits: Mapping[str, Annotations], title: str) -> str:
    """The page.

    Args:
        report: What was found.
        splits: The data, whose images are read again for thumbnails.
        title: Names the data.
    """
    records = {
        (split, record.image_id): record
        for split, annotations in splits.items()
        for record in annotations.records
    }
    with ThreadPoolExecutor(num_cores()) as pool:
        sections = [
            (finding, list(pool.map(lambda place: _picture(place, records), _shown(finding))))
            for finding in report.findings
        ]
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html").render(
        title=title,
        report=report,
        levels=LEVELS,
        sections=sections,
        largest_class=max((sum(row.values()) for row in report.classes.values()), default=0),
        max_shown=MAX_SHOWN,
        max_listed=MAX_LISTED,
        version=vision.__version__,
    )


def _shown(finding: Finding) -> list[Place]:
    return [place for place in finding.places if place.file][:MAX_SHOWN]


def _picture(place: Place, records: Mapping[tuple[str, str], Record]) -> Picture:
    other = None if place.other is None else thumbnail(records.get(place.other), ())
    return Picture(place, thumbnail(records.get((place.split, place.file)), place.boxes), other)
