"""The end of a run: means of first and last weights, curves, pictures, and the final metrics."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

from vision.data import DetectionDataset
from vision.engine.evaluation import (
    HEADLINE,
    Evaluation,
    Evaluator,
    best_thresholds,
    describe_number,
    describe_values,
    headline,
    selection_score,
)
from vision.engine.pictures import draw_curves, draw_pictures, optional
from vision.engine.recorder import Recorder
from vision.engine.run import Run
from vision.engine.validation import load_best
from vision.metrics import Metrics
from vision.metrics.analysis import Analysis, analyse
from vision.metrics.results import MIN_BOXES
from vision.weights import SavedDetector, interpolate, load_weights, save_weights

logger = logging.getLogger(__name__)

WriteReport: TypeAlias = Callable[[Analysis, DetectionDataset, Path], object]
"""Writes the report of the best weights into the run folder."""


def summarise(
    run: Run,
    recorder: Recorder,
    best: Evaluation | None,
    save_checkpoint: Callable[[], None],
    write_report: WriteReport | None = None,
) -> Metrics | None:
    """Write and log the results of a run.

    Args:
        run: The run, after its last step.
        recorder: Writes the run's files.
        best: The evaluation of the best weights; None if it was in an earlier process.
        save_checkpoint: Called after a mean has become the best weights, which later epochs of a
            longer run must beat.
        write_report: Called in the first process with the analysis of that evaluation.

    Returns:
        The metrics of the best weights; None without ``data.val``.
    """
    folder, state, is_first = recorder.folder, run.state, run.processes.is_first
    if run.evaluator is not None and state.start is not None:
        mean = _try_means(run, recorder, run.evaluator)
        if mean is not None:
            best = mean
            save_checkpoint()
    saved = run.processes.broadcast(load_best(folder.best, state) if is_first else None)
    assert saved is not None
    facts: dict[str, Any] = {
        key: saved.training[key] for key in ("epoch", "interpolation") if key in saved.training
    }
    part = facts.get("interpolation")
    averaged = f", averaged with the initial weights ({part:g} of the final ones)" if part else ""
    logger.info("best after epoch %d%s: %s", facts["epoch"], averaged, folder.best)
    if is_first:
        with optional(folder.curves):
            draw_curves(state.rows, folder.curves)
    if run.evaluator is None:
        return None
    dataset = run.evaluator.dataset
    metrics, detections = best or run.evaluator(saved.model)
    if is_first:
        analysis = analyse(detections, dataset.targets, state.names, metrics)
        facts |= {"interval95": analysis.intervals, "thresholds": best_thresholds(analysis)}
        values = saved.training["metrics"] or metrics.to_dict()
        recorder.write_metrics({**values, **facts}, state)
        _add_thresholds(folder.best, saved, facts["thresholds"])
        with optional(folder.pictures):
            draw_pictures(saved, dataset, run.device, folder.pictures)
        if write_report is not None:
            with optional(folder.path):
                write_report(analysis, dataset, folder.path)
        _log_conclusion(metrics, facts, state.start)
    return metrics


def _add_thresholds(path: Path, saved: SavedDetector, thresholds: dict[str, float]) -> None:
    """Add the best score threshold of each class to the weights file ``path``.

    A file that has them already is not rewritten, since a new one would have random metadata order.
    """
    if saved.training.get("thresholds") == thresholds:
        return
    training = saved.training | {"thresholds": thresholds}
    is_folded = saved.norms_folded
    save_weights(path, saved.model, saved.config, saved.names, training, norms_folded=is_folded)


def _try_means(run: Run, recorder: Recorder, evaluate: Evaluator) -> Evaluation | None:
    """Evaluate means of the initial and the final weights; save the best mean if it is better.

    Returns:
        The evaluation of that mean; None if no mean is better than the best weights so far.
    """
    folder, state, kept = recorder.folder, run.state, None
    if not run.settings.interpolation:
        return None
    if not folder.start.is_file():
        logger.warning("warning: %s is missing, so train.interpolation is skipped", folder.start)
        return None
    start, end = load_weights(folder.start).model, load_weights(folder.last).model
    new = [label for label, name in enumerate(state.names) if name not in state.known]
    mean = load_weights(folder.last).model
    for fraction in run.settings.interpolation:
        mean.load_state_dict(interpolate(start, end, fraction, new))
        evaluation = evaluate(mean)
        values = evaluation.metrics.to_dict()
        logger.info(
            "mean of initial and final weights, %g of the final ones: val %s",
            fraction,
            describe_values(headline(values)),
        )
        value = selection_score(values, state.start)
        if value <= state.best:
            continue
        state.best, kept = value, evaluation
        if run.processes.is_first:
            metrics = evaluation.metrics
            recorder.write_weights(folder.best, mean, state, metrics, interpolation=fraction)
    run.processes.barrier()
    return kept


def _log_conclusion(metrics: Metrics, facts: dict[str, Any], start: dict[str, Any] | None) -> None:
    """Log the best weights' metrics with their intervals, and the gain over the initial weights."""
    values = headline(metrics.to_dict())
    parts = [f"{low:.3f} to {high:.3f}" for low, high in facts.get("interval95", {}).values()]
    intervals = f" (95% intervals by resampling images: {' and '.join(parts)})" if parts else ""
    logger.info("best: val %s%s", describe_values(values), intervals)
    num_boxes = sum(metrics.voc.num_boxes)
    if num_boxes < MIN_BOXES:
        logger.warning(
            "warning: %d validation boxes are too few to measure how good a detector is; label %d"
            " or more",
            num_boxes,
            MIN_BOXES,
        )
    if start is None:
        return
    before = headline(start)
    changes = (
        f"{key} {describe_number(before[key])} -> {describe_number(values[key])}"
        for key in HEADLINE
    )
    logger.info("start -> best: %s", ", ".join(changes))
    if facts["epoch"] == 0:
        logger.warning(
            "warning: training did not help: no later weights are better than the initial ones"
            " without being worse in one metric, so the best weights are the initial ones; look at"
            " the log, and try more labelled images, or another optim.lr or train.epochs"
        )
