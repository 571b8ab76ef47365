"""The format of the result files; docs/results.md and docs/schemas/ are checked against it."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, with_config
from typing_extensions import NotRequired, TypedDict

FORMAT: Literal["ssdlite-detections-2"] = "ssdlite-detections-2"

_closed = with_config(ConfigDict(extra="forbid", strict=True, allow_inf_nan=False))

Name = Annotated[str, Field(description="Class name.")]
Score = Annotated[float, Field(ge=0, le=1, description="Confidence, from 0 to 1.")]
Track = Annotated[
    int, Field(ge=1, description="Number of the object, the same in all frames; with --track.")
]
Frame = Annotated[int, Field(ge=0, description="Number of the frame in its film, from 0.")]
Time = Annotated[float, Field(ge=0, description="Seconds from the film's beginning.")]
Counts = Annotated[
    dict[str, dict[str, dict[str, Annotated[int, Field(ge=0)]]]],
    Field(
        description="Number of objects of each class up to this frame, by line or zone of --count"
        " and by in, out, inside or entered."
    ),
]
Box = Annotated[
    list[float],
    Field(
        min_length=4,
        max_length=4,
        description="x0, y0, x1, y1: left, top, right and bottom edge in pixels of the original"
        " image, which begins at 0, 0.",
    ),
]
Size = Annotated[
    list[int],
    Field(min_length=2, max_length=2, description="Height and width of the image in pixels."),
]
CategoryId = Annotated[
    int | str, Field(description="Class id: from --annotations, or from 1 in label order.")
]


@_closed
class Object(TypedDict):
    """One detection."""

    label: Name
    score: Score
    box: Box
    track: NotRequired[Track]


@_closed
class Entry(TypedDict):
    """The detections of one image or frame, highest score first."""

    image: Annotated[
        str, Field(description="The input as named; in a folder, that folder and the path in it.")
    ]
    frame: NotRequired[Frame]
    time: NotRequired[Time]
    size: Size
    detections: list[Object]
    counts: NotRequired[Counts]


@_closed
class Category(TypedDict):
    """One class that the detector knows."""

    id: CategoryId
    name: Name


class Omissions(TypedDict):
    """What the results of a run leave out, and the tiles of its images."""

    failures: Annotated[
        list[str],
        Field(description="A line for each input that could not be read, or not to its end."),
    ]
    skipped: Annotated[
        int, Field(ge=0, description="Inputs that were not reached before an interruption.")
    ]
    capped: Annotated[
        int,
        Field(ge=0, description="Images and frames that have the maximum number of detections."),
    ]
    others: Annotated[
        int,
        Field(ge=0, description="Files in folders that are neither images nor videos."),
    ]
    tiles: NotRequired[
        Annotated[
            int | Literal["auto"],
            Field(description="Tiles along each side of an image; with --tiles above 1."),
        ]
    ]


@_closed
class DetectionsFile(Omissions):
    """``detections.json``."""

    format: Annotated[Literal["ssdlite-detections-2"], Field(description="Name of the format.")]
    categories: Annotated[list[Category], Field(description="The classes, in label order.")]
    images: Annotated[list[Entry], Field(description="One entry for each image or frame.")]


HEAD = tuple(DetectionsFile.__annotations__)
"""The keys of ``detections.json``, each of which begins a line."""


@_closed
class CocoResult(TypedDict):
    """One detection of ``coco_results.json``, which is a list of these."""

    image_id: Annotated[
        int | str,
        Field(
            description="Id of the image: from --annotations, else the file's name without suffix,"
            " as a number if it is all digits; for a frame, NAME:FRAME."
        ),
    ]
    category_id: CategoryId
    bbox: Annotated[
        list[float],
        Field(
            min_length=4,
            max_length=4,
            description="x0, y0, width, height in pixels of the original image.",
        ),
    ]
    score: Score


SCHEMAS: dict[str, Any] = {"detections": DetectionsFile, "coco_results": list[CocoResult]}
"""Type of each JSON file that ``--save`` writes, by the file's name without suffix."""
