"""The options of ``ssdlite detect`` on what it writes, tracks and counts."""

import argparse
import logging
from collections.abc import Sequence
from typing import Any

from vision.choices import FOLDERS, RESULTS
from vision.detection import (
    Settings,
    check_file_names,
    check_folders_are_new,
    check_results_stay,
    parse_region,
)
from vision.errors import ConfigError
from vision.extras import require_package
from vision.media import MediaInput, Window

logger = logging.getLogger(__name__)

SAVED = ("pictures", *RESULTS, *FOLDERS)
LABELS = ("yolo", "labelme")


def make_settings(
    options: argparse.Namespace, sources: Sequence[MediaInput], workers: int
) -> Settings:
    """Make the settings of a run.

    Raises:
        ConfigError: If an option is malformed, or needs a package that is not installed.
        DataError: If two images would be written to the same files.
    """
    saved = saved_kinds(options.save)
    if set(FOLDERS) & set(saved):
        check_file_names(sources)
    if "parquet" in saved:
        require_package("pyarrow", "parquet")
    if is_tracked(options):
        require_package("trackers", "track")
        if all(source.kind == "image" for source in sources):
            given = "--count" if options.count else "--track"
            logger.warning(
                "warning: %s has no effect on images: objects are tracked in videos only", given
            )
    if options.annotations and "coco" not in saved:
        logger.warning("warning: --annotations has no effect without --save coco")
    if options.reconnect and all(source.kind != "stream" for source in sources):
        logger.warning("warning: --reconnect has no effect: none of the inputs is a stream")
    return Settings(
        options.out,
        "pictures" in saved,
        [kind for kind in RESULTS if kind in saved],
        options.stride,
        workers,
        options.batch,
        Window("ssdlite").show if options.show else None,
        float(options.reconnect or 0),
        [kind for kind in FOLDERS if kind in saved],
        is_tracked(options),
        [parse_region(text) for text in options.count or []],
    )


def check_is_new(
    options: argparse.Namespace,
    sources: Sequence[MediaInput],
    settings: Settings,
    *,
    is_unfinished: bool,
) -> None:
    """Make sure that a new run replaces no results, unless ``--overwrite`` is set.

    Raises:
        DataError: If it would replace some.
    """
    if options.resume and is_unfinished:
        return
    if not options.overwrite:
        check_results_stay(sources, settings, is_unfinished=is_unfinished)
    check_folders_are_new(settings)


def saved_kinds(text: str) -> list[str]:
    """The kinds of results that ``--save`` names.

    Raises:
        ConfigError: If one of them is not in `SAVED`, or there are none.
    """
    saved = split_words(text)
    unknown = [word for word in saved if word not in SAVED]
    if unknown or not saved:
        found = unknown[0] if unknown else "nothing"
        raise ConfigError(f"--save: expected some of {', '.join(SAVED)}, found {found}")
    return saved


def split_words(text: str) -> list[str]:
    """Split a list that is separated by commas."""
    return [word.strip() for word in text.split(",") if word.strip()]


def is_tracked(options: argparse.Namespace) -> bool:
    """Whether objects in videos are tracked; counting needs it."""
    return bool(options.track or options.count)


def saved_identity(options: argparse.Namespace) -> dict[str, Any]:
    """The settings of the results that must not change between a run and its continuation.

    Options added in later versions are included only if they are used, so that runs of earlier
    versions can be continued.
    """
    saved = saved_kinds(options.save)
    others = {
        "files": [kind for kind in FOLDERS if kind in saved],
        "track": is_tracked(options),
        "count": options.count,
        "tiles": options.tiles if options.tiles != 1 else None,
    }
    used = {key: value for key, value in others.items() if value}
    return {"pictures": "pictures" in saved, **used}
