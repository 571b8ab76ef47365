"""Detect that a resumed run's validation data changed, and evaluate its best weights again."""

import hashlib
import json
import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from vision.engine.evaluation import Evaluation, describe_values, headline, selection_score
from vision.engine.recorder import Recorder
from vision.engine.run import Run, RunState
from vision.errors import TrainingError
from vision.structures import Target
from vision.weights import SavedDetector, load_weights, save_weights

logger = logging.getLogger(__name__)


def settle_validation(run: Run) -> bool:
    """Record the validation data's fingerprint; return whether earlier metrics are of other data.

    In that case the count of evaluations since the best one starts again from 0.
    """
    state, now = run.state, ""
    if run.evaluator is not None:
        now = fingerprint(run.evaluator.dataset.targets, state.config)
    if run.evaluator is None and run.is_over:
        return False
    before, state.val = state.val, now
    is_measured = state.best > -math.inf or state.start is not None
    if before == now or not is_measured:
        return False
    state.unimproved = 0
    return True


def measure_again(run: Run, recorder: Recorder) -> Evaluation | None:
    """Evaluate the initial and the best weights on the current validation data; write the metrics.

    Returns:
        The evaluation of the best weights; None if their file is missing or ``data.val`` is unset.
    """
    folder, state = recorder.folder, run.state
    best, state.best = state.best, -math.inf
    if run.evaluator is None:
        logger.warning("warning: data.val is unset: from now on the last weights count as the best")
        if run.processes.is_first:
            folder.metrics.unlink(missing_ok=True)
        return None
    logger.warning(
        "warning: the validation data or model.postprocess have changed, or an older version wrote"
        " the checkpoint: the best weights are evaluated again, and earlier rows of %s cannot be"
        " compared with later ones",
        folder.log.name,
    )
    if state.start is not None:
        start = _load(run, folder.start)
        state.start = None if start is None else run.evaluator(start.model).metrics.to_dict()
    saved = None if best == -math.inf else _load(run, folder.best)
    if saved is None:
        return None
    evaluation = run.evaluator(saved.model)
    metrics = evaluation.metrics.to_dict()
    state.best = selection_score(metrics, state.start)
    logger.info(
        "best so far, after epoch %s: val %s",
        saved.training["epoch"],
        describe_values(headline(metrics)),
    )
    if run.processes.is_first:
        _write(folder.best, saved, metrics, recorder, state)
    run.processes.barrier()
    return evaluation


def load_best(path: Path, state: RunState) -> SavedDetector:
    """Load the best weights of a run.

    Raises:
        WeightsError: If the file is missing or damaged.
        TrainingError: If the file has another network or other classes than the run.
    """
    saved = load_weights(path)
    ours, theirs = (model.state_dict() for model in (state.model, saved.model))
    shapes = [{key: value.shape for key, value in each.items()} for each in (ours, theirs)]
    if saved.names != state.names or shapes[0] != shapes[1]:
        raise TrainingError(
            f"{path} holds another network or other classes than this run; restore the run's own"
            f" file, or copy {path.with_name('last.safetensors')} over it"
        )
    return saved


def _load(run: Run, path: Path) -> SavedDetector | None:
    """Load weights of the run in all processes; None, with a warning, if the file is missing."""
    saved = None
    if run.processes.is_first and path.is_file():
        saved = load_best(path, run.state)
    saved = run.processes.broadcast(saved)
    if saved is None:
        logger.warning("warning: %s is missing, so its earlier metrics are discarded", path)
    return saved


def _write(
    path: Path,
    saved: SavedDetector,
    metrics: dict[str, object],
    recorder: Recorder,
    state: RunState,
) -> None:
    """Write the best weights with their new metrics, and ``metrics.json``."""
    training = {key: value for key, value in saved.training.items() if key != "thresholds"}
    training["metrics"] = metrics
    is_folded = saved.norms_folded
    save_weights(path, saved.model, saved.config, saved.names, training, norms_folded=is_folded)
    facts = {key: value for key, value in training.items() if key in {"epoch", "interpolation"}}
    recorder.write_metrics(metrics | facts, state)


def fingerprint(targets: Sequence[Target], config: Mapping[str, object]) -> str:
    """Return a hash of images, boxes and post-processing, which identifies the validation data."""
    settings = {key: value for key, value in config.items() if key.startswith("model.postprocess.")}
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for target in targets:
        row = (Path(str(target.image_id)).name, target.size, target.labels.tolist())
        values = (target.boxes.tolist(), target.ignore.tolist(), target.areas.tolist())
        # Without crowds nothing is added, so that hashes of older versions stay valid.
        crowd = (target.crowd.tolist(),) if target.crowd.any() else ()
        digest.update(json.dumps((*row, *values, *crowd)).encode())
    return digest.hexdigest()
