"""``ssdlite detect INPUT ... --weights W --out DIR [--score S] [--device D]``."""

import argparse
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from vision.cli.options import parse
from vision.draw import draw_detections
from vision.engine import write_json
from vision.errors import DataError
from vision.images import read_image
from vision.media import Source, VideoWriter, find_inputs, read_video, write_image
from vision.predict import Detector
from vision.structures import Detections

__all__ = ["run"]

logger = logging.getLogger(__name__)


def run(argv: Sequence[str] | None = None) -> int:
    """Detect, write annotated images and videos, and ``detections.json``."""
    parser = argparse.ArgumentParser(
        prog="ssdlite detect", description="Find objects in images and videos."
    )
    parser.add_argument("--weights", required=True, type=Path, metavar="W")
    parser.add_argument("--out", type=Path, default=Path("out"), metavar="DIR")
    parser.add_argument("--score", type=float, default=0.4, help="least score (default: 0.4)")
    parser.add_argument("--device", help="cpu, cuda, ... (default: CUDA where there is one)")
    options = parse(parser, argv, "inputs", "images, videos, folders of them, or globs", nargs="+")
    sources = find_inputs(options.inputs)
    _keep_inputs(sources, options.out)
    detector = Detector.load(options.weights, options.score, options.device)
    entries: list[dict[str, Any]] = []
    failures: list[DataError] = []
    for source in tqdm(sources, desc="detect", leave=False, dynamic_ncols=True):
        entries.extend(_attempt(source, detector, options.out, failures))
    write_json(options.out / "detections.json", entries)
    found = sum(len(entry["detections"]) for entry in entries)
    print(f"{found} objects in {len(entries)} images or frames; results are in {options.out}")
    if failures:
        raise DataError(f"{len(failures)} of {len(sources)} inputs failed; first: {failures[0]}")
    return 0


def _keep_inputs(sources: Sequence[Source], out: Path) -> None:
    """Raise DataError if a result would take the place of any input."""
    inputs = {source.path.resolve() for source in sources}
    for source in sources:
        if (out / source.relative).resolve() in inputs:
            raise DataError(f"{out / source.relative} would be overwritten; name another --out")


def _attempt(
    source: Source, detector: Detector, out: Path, failures: list[DataError]
) -> list[dict[str, Any]]:
    """Entries of one input; if it fails, none, and a warning: the others still have their turn."""
    try:
        return list(_detect(source, detector, out))
    except DataError as error:
        logger.warning("%s", error)
        failures.append(error)
        return []


def _detect(source: Source, detector: Detector, out: Path) -> Iterator[dict[str, Any]]:
    """Entries of one input, whose annotated copy is written meanwhile."""
    target = out / source.relative
    if source.kind == "image":
        image = read_image(source.path)
        detections = detector(image)
        write_image(target, draw_detections(image, detections, detector.names))
        yield _entry(source, detections, detector)
        return
    with read_video(source.path) as video, VideoWriter(target, video.fps) as writer:
        for number, frame in enumerate(video):
            detections = detector(frame)
            writer.write(draw_detections(frame, detections, detector.names))
            yield {**_entry(source, detections, detector), "frame": number}


def _entry(source: Source, detections: Detections, detector: Detector) -> dict[str, Any]:
    rows = zip(detections.labels, detections.scores, detections.boxes, strict=True)
    return {
        "image": str(source.path),
        "size": list(detections.size or ()),
        "detections": [
            {"label": detector.names[label], "score": float(score), "box": box.tolist()}
            for label, score, box in rows
        ],
    }
