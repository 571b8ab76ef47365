"""The report as a self-contained HTML page."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vision.metrics.analysis import Analysis
from vision.metrics.suspects import MIN_SUSPICION
from vision.pages import render
from vision.report.charts import confusion_matrix, curve_points
from vision.report.commands import Commands
from vision.report.data_advice import CONFIDENT, MIN_CLASS_BOXES, is_few
from vision.report.gallery import Photo, draw_gallery, list_suspects
from vision.report.kinds import ERRORS, SUSPECTS
from vision.report.selection import choose, choose_suspects
from vision.report.summary import summarise

NUM_CONFUSED = 8
"""Maximum number of pairs of confused classes that are listed."""
NUM_OFTEN = 3
"""Maximum number of classes that are named for each kind of suspect."""
MAX_LISTED = 5000
"""Maximum number of suspects that are listed, because more would make the page slow."""
NUM_MAIN = 8
"""Number of metrics that are shown; the others have to be unfolded."""
TOTALS = {
    "false positives": "all detections that are wrong",
    "false negatives": "all objects that are not found",
}
COCO_MEANINGS = {
    "AP": "average precision, mean over the IoU thresholds 0.5 to 0.95",
    "AP50": "at IoU 0.5",
    "AP75": "at IoU 0.75: boxes that fit well",
    "APs": "small objects, up to 32 x 32 pixels",
    "APm": "medium objects, up to 96 x 96 pixels",
    "APl": "large objects",
    "AR1": "recall of the best detection of each class in each image",
    "AR10": "recall of the best ten",
    "AR100": "recall of the best hundred",
    "ARs": "AR100 of small objects",
    "ARm": "AR100 of medium objects",
    "ARl": "AR100 of large objects",
}


def render_report(
    analysis: Analysis,
    title: str,
    photos: Sequence[Photo] | None = None,
    commands: Commands = Commands(),  # noqa: B008 - immutable
) -> str:
    """Render the report as a page.

    Args:
        analysis: The numbers.
        title: The detector that is evaluated, and on which data.
        photos: The images of the evaluation; None for a page without pictures.
        commands: The commands that the advice shows.
    """
    names = analysis.metrics.names
    mistakes = draw_gallery(choose(analysis.mistakes), photos, names) if photos else []
    listed = analysis.suspects[:MAX_LISTED]
    suspects = draw_gallery(choose_suspects(listed), photos, names) if photos else []
    return render(
        Path(__file__).with_name("page.html"),
        title=title,
        metrics=analysis.metrics,
        analysis=analysis,
        sentences=summarise(analysis, commands),
        commands=commands,
        rows=_metric_rows(analysis),
        num_main=NUM_MAIN,
        error_rows=_error_rows(analysis),
        classes=_class_rows(analysis),
        min_class_boxes=MIN_CLASS_BOXES,
        min_suspicion=MIN_SUSPICION,
        confident=CONFIDENT,
        absent=analysis.metrics.absent_names,
        matrix=(matrix := confusion_matrix(analysis.confusion, names)),
        confused=matrix.worst(NUM_CONFUSED),
        errors=ERRORS,
        suspect_kinds=SUSPECTS,
        suspect_rows=_suspect_rows(analysis),
        mistakes=mistakes,
        suspects=suspects,
        suspect_lines=list_suspects(listed, photos, names) if photos else [],
        has_photos=bool(photos),
        pictured={picture.kind for picture in (*mistakes, *suspects)},
    )


def _metric_rows(analysis: Analysis) -> list[dict[str, Any]]:
    """The summary numbers: name, value, interval, meaning."""
    voc, coco = analysis.metrics.voc, analysis.metrics.coco
    values = [
        (
            "voc.mAP50",
            voc.mean,
            "VOC: area under the precision-recall curve at IoU 0.5, mean over the classes",
        ),
        ("voc.mAP50_11pt", voc.mean_11pt, "VOC 2007: the same, from 11 points of the curve"),
        *((f"coco.{key}", getattr(coco, key), text) for key, text in COCO_MEANINGS.items()),
    ]
    return [
        {
            "name": name,
            "value": value,
            "interval": analysis.intervals.get(name),
            "meaning": meaning,
        }
        for name, value, meaning in values
    ]


def _error_rows(analysis: Analysis) -> list[tuple[str, str, float]]:
    """Title, meaning and cost of each kind of error, the costliest first; then of the totals."""
    costs = analysis.error_costs
    kinds = [(kind.title, kind.meaning, costs.get(key, 0.0)) for key, kind in ERRORS.items()]
    totals = [(title, meaning, costs.get(title, 0.0)) for title, meaning in TOTALS.items()]
    return [*sorted(kinds, key=lambda row: -row[2]), *totals]


def _suspect_rows(analysis: Analysis) -> list[tuple[str, int, list[str], str]]:
    """Title, number, most frequent classes and meaning of each kind of suspect that occurs."""
    names, rows = analysis.metrics.names, []
    for key, kind in SUSPECTS.items():
        pairs = Counter(
            (suspect.label, suspect.true_label if key == "other class" else None)
            for suspect in analysis.suspects
            if suspect.kind == key
        )
        often = [
            names[label] + ("" if true is None else f" labelled {names[true]}") + f" ({number})"
            for (label, true), number in pairs.most_common(NUM_OFTEN)
        ]
        rows.append((kind.title, pairs.total(), often, kind.meaning))
    return [row for row in rows if row[1]]


def _class_rows(analysis: Analysis) -> list[dict[str, Any]]:
    """The classes that have boxes, with their numbers and curves."""
    voc, coco = analysis.metrics.voc, analysis.metrics.coco
    columns = zip(
        analysis.metrics.names,
        voc.num_boxes,
        voc.ap,
        coco.per_class,
        analysis.thresholds,
        analysis.curves,
        strict=True,
    )
    return [
        {
            "name": name,
            "boxes": boxes,
            "is_few": is_few(boxes),
            "ap50": ap50,
            "ap": ap,
            "best": best,
            "points": [] if curve is None else curve_points(curve),
        }
        for name, boxes, ap50, ap, best, curve in columns
        if boxes
    ]
