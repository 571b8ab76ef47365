"""The end of a run: the mean with its start, curves, pictures, and what its best is worth."""

import logging
from typing import Any

from vision.data import DetectionDataset
from vision.engine.curves import draw_curves
from vision.engine.pictures import draw_pictures
from vision.engine.session import (
    HEADLINE,
    Session,
    describe_number,
    describe_values,
    headline,
    quality,
)
from vision.metrics import Metrics, bootstrap, interval
from vision.weights import interpolate, load_weights

__all__ = ["finish"]

logger = logging.getLogger(__name__)

DRAWS = 200
"""Of the bootstrap."""
MOST_DRAWN = 500
"""Validation images up to which intervals are computed; of more they are narrow, and slow."""
FEW_BOXES = 50
"""Validation boxes below which an average precision says little."""


def finish(session: Session) -> Metrics | None:
    """Say what a run has come to.

    Returns:
        The evaluation of the best weights; None without ``data.val``.
    """
    run, folder = session.run, session.folder
    if run.val_loader is not None and session.progress.start is not None:
        _try_means(session)
    saved = run.processes.share(load_weights(folder.best) if run.processes.is_first else None)
    assert saved is not None
    part = saved.training.get("interpolation")
    mean = "" if part is None else f", as the mean with the start, the end's part {part:g}"
    logger.info("best after epoch %d%s: %s", saved.training["epoch"], mean, folder.best)
    if run.processes.is_first:
        draw_curves(session.progress.rows, folder.curves)
    if run.val_loader is None:
        return None
    if run.processes.is_first:
        draw_pictures(saved, run.val_loader, run.device, folder.pictures)
    metrics, found = session.best or session.evaluate(saved.model)
    if run.processes.is_first:
        dataset = run.val_loader.dataset
        assert isinstance(dataset, DetectionDataset)
        facts: dict[str, Any] = {"epoch": saved.training["epoch"]}
        if "interpolation" in saved.training:
            facts["interpolation"] = saved.training["interpolation"]
        if len(dataset) <= MOST_DRAWN and metrics.voc.mean is not None:
            draws = bootstrap(found, dataset.targets, len(run.names), DRAWS)
            facts["interval95"] = {
                name: interval(draws[1:, column]) for column, name in enumerate(HEADLINE)
            }
        session.write_metrics({**(saved.training["metrics"] or metrics.to_dict()), **facts})
        _conclude(session, metrics, facts)
    return metrics


def _try_means(session: Session) -> None:
    """Evaluate means of the first and the last weights; one that is better than all is the best."""
    run, folder, progress = session.run, session.folder, session.progress
    if not run.config.train.interpolation:
        return
    if not folder.start.is_file():
        logger.warning("warning: %s is gone, so no mean with the start is tried", folder.start)
        return
    weights = (load_weights(folder.start), load_weights(folder.last))
    start, end = (saved.model for saved in weights)
    fresh = [label for label, name in enumerate(run.names) if name not in progress.known]
    best = progress.best
    for fraction in run.config.train.interpolation:
        mean = load_weights(folder.last).model
        mean.load_state_dict(interpolate(start, end, fraction, fresh))
        metrics, found = session.evaluate(mean)
        value = quality(metrics, progress.start)
        logger.info(
            "mean of start and end, the end's part %g: val %s",
            fraction,
            describe_values(headline(metrics)),
        )
        if value is None or value <= best:
            continue
        best, session.best = value, (metrics, found)
        if run.processes.is_first:
            session.save_weights(folder.best, mean, metrics, interpolation=fraction)
    run.processes.wait()


def _conclude(session: Session, metrics: Metrics, facts: dict[str, Any]) -> None:
    """How good the best is, how sure that is, and what training was worth."""
    values = headline(metrics)
    logger.info("best: val %s%s", describe_values(values), _describe_intervals(facts))
    num_boxes = sum(metrics.voc.num_boxes)
    if num_boxes < FEW_BOXES:
        logger.warning(
            "warning: %d validation boxes say little of how good a detector is; label %d or more",
            num_boxes,
            FEW_BOXES,
        )
    start = session.progress.start
    if start is None:
        return
    before = dict(zip(HEADLINE, (start["voc"]["mAP50"], start["coco"]["AP"]), strict=True))
    logger.info(
        "start -> best: %s",
        ", ".join(
            f"{key} {describe_number(before[key])} -> {describe_number(values[key])}"
            for key in HEADLINE
        ),
    )
    if facts["epoch"] == 0:
        logger.warning(
            "warning: training only lost: no later weights are at least as good as the start's in"
            " both metrics, so that the best are the start's; look at the log, and try more"
            " labelled images, or another optim.lr or train.epochs"
        )


def _describe_intervals(facts: dict[str, Any]) -> str:
    intervals = facts.get("interval95", {})
    parts = [f"{low:.3f} to {high:.3f}" for low, high in intervals.values()]
    return f" (95% of resampled images: {' and '.join(parts)})" if parts else ""
