"""Training: from a configuration to a run folder with weights, log, metrics and pictures."""

import logging
import math
import time
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from vision.config import Config, dump_config
from vision.device import choose_device
from vision.engine.build import build_run, start_run
from vision.engine.checkpoint import Checkpoints
from vision.engine.distributed import Processes, started_processes
from vision.engine.epoch import train_epoch
from vision.engine.evaluation import Evaluation, describe_values, headline, quality
from vision.engine.forecast import log_coverage, log_duration
from vision.engine.interrupts import Interrupts, caught_interrupts
from vision.engine.memory import keep_freed_memory
from vision.engine.pictures import Board
from vision.engine.plan import make_plan
from vision.engine.recorder import Recorder, RunFolder
from vision.engine.run import Run, parallel
from vision.engine.summary import summarise
from vision.metrics import Metrics
from vision.weights import save_weights

__all__ = ["Trainer", "train"]

logger = logging.getLogger(__name__)

AGREE_EVERY = 10
"""Steps after which several processes ask each other whether to stop."""


def train(config: Config, out: Path, *, resume: bool = False) -> Metrics | None:
    """Train, evaluate every few epochs and after the last, and keep the best.

    Under ``torchrun`` all processes call this alike; the first one writes.

    Args:
        config: The run.
        out: The run folder; it must not hold a run yet, unless this one resumes it.
        resume: Continue after the last step that the run folder has a checkpoint of, if any.

    Returns:
        The evaluation of the best weights; None without ``data.val``.

    Raises:
        VisionError: One of its children, for what a user can mend.
        Interrupted: After SIGTERM or Ctrl-C, when a checkpoint is written.
    """
    with started_processes(config.train.device) as processes, caught_interrupts() as interrupts:
        if not processes.is_first:
            logging.getLogger("vision.engine").setLevel(logging.WARNING)
        return Trainer.setup(config, out, processes, interrupts, resume=resume).fit()


class Trainer:
    """One process's work on a run, from its start or a checkpoint to its end.

    Args:
        run: The parts that training works with.
        network: Its network as `vision.engine.run.parallel` gives it.
        recorder: Writes the run folder.
        checkpoints: The checkpoints in the run folder.
        interrupts: The signals that came in.
    """

    def __init__(
        self,
        run: Run,
        network: nn.Module,
        recorder: Recorder,
        checkpoints: Checkpoints,
        interrupts: Interrupts,
    ) -> None:
        self.run = run
        self.network = network
        self.recorder = recorder
        self.checkpoints = checkpoints
        self.interrupts = interrupts
        self._best: Evaluation | None = None  # of the best weights, if this process has seen it
        self._saved_at = time.monotonic()

    @classmethod
    def setup(
        cls,
        config: Config,
        out: Path,
        processes: Processes,
        interrupts: Interrupts,
        *,
        resume: bool,
    ) -> "Trainer":
        """A trainer that is ready for the first step, or for the first after an interruption."""
        folder = RunFolder(out)
        if processes.is_first:
            folder.check(resume=resume)
        device = choose_device(processes.device(config.train.device))
        if device.type == "cpu":
            keep_freed_memory()
        plan = make_plan(config, folder, device, processes, resume=resume)
        run, config = build_run(plan, device, processes), plan.config
        log_coverage(run)
        if processes.is_first:
            folder.make()
        checkpoints = Checkpoints(folder.states, config.train.keep_states)
        is_resumed = resume and checkpoints.restore(run.state, processes)
        if not is_resumed:
            start_run(run, plan)
        network = parallel(run, is_compiled=config.train.compile)
        is_writing = processes.is_first and not run.is_over
        has_board = is_writing and config.train.tensorboard
        board = Board(folder.tensorboard if has_board else None, run.state.steps)
        if not is_resumed:
            priors = run.state.model.priors
            board.matches(run.train_set.targets, priors, config.loss.match_iou, 0)
        writer = partial(save_weights, config=config, names=plan.names)
        recorder = Recorder(folder, board, writer)
        if is_writing:
            recorder.write_setup(dump_config(config), device, plan.annotations.count())
        return cls(run, network, recorder, checkpoints, interrupts)

    def fit(self) -> Metrics | None:
        """Take all steps that are left, and tell what they have come to.

        Returns:
            The evaluation of the best weights; None without validation data.
        """
        run, board = self.run, self.recorder.board
        if not run.is_over:
            logger.info("run folder: %s", self.recorder.folder.path)
            is_start = run.settings.evaluates_start and run.state.steps == 0
            log_duration(run, self._evaluate_start() if is_start else None)
        try:
            with self.interrupts.held():
                while not run.is_over:
                    train_epoch(run, self.network, board, self._is_pause_due, self._pause)
                    evaluation = None
                    if self._is_evaluation_due():
                        self._save_checkpoint()
                        evaluation = self._evaluate()
                    self._finish_epoch(evaluation)
                    run.processes.barrier()
                    self._stop_if_asked()
        finally:
            board.close()
        return summarise(run, self.recorder, self._best)

    def _evaluate_start(self) -> float:
        """Keep the weights before the first step, and say how good they are.

        Returns:
            The seconds that this took.
        """
        state, evaluation, began = self.run.state, None, time.perf_counter()
        if self.run.evaluator is not None:
            evaluation = self._evaluate()
            state.start = evaluation[0].to_dict()
            self._is_best(evaluation)
            state.rows.append({"epoch": 0, **headline(evaluation[0])})
            values = describe_values(state.rows[-1])
            logger.info("epoch 0, before the first step: val %s", values)
        path, is_best = self.recorder.folder.start, evaluation is not None
        self._record(path, evaluation, is_best=is_best, known=state.known)
        return time.perf_counter() - began

    def _is_pause_due(self) -> bool:
        """Whether to save now: because the last time is long ago, or since a signal came in."""
        run, waited = self.run, time.monotonic() - self._saved_at
        is_due = waited > 60 * run.settings.save_minutes or self.interrupts.number is not None
        if run.processes.size == 1:
            return is_due
        # Asking takes time, and all processes must ask after the same step.
        return run.state.steps % AGREE_EVERY == 0 and run.processes.any(is_due, run.device)

    def _pause(self) -> None:
        self._save_checkpoint()
        self._stop_if_asked()

    def _save_checkpoint(self) -> None:
        self._saved_at = time.monotonic()
        if self.run.processes.is_first:
            self.checkpoints.save(self.run.state)
            self.recorder.board.flush()

    def _stop_if_asked(self) -> None:
        """Leave, in all processes, if one received a signal."""
        if self.run.processes.any(self.interrupts.number is not None, self.run.device):
            logger.info("state saved after step %d: go on with --resume", self.run.state.steps)
            self.interrupts.leave()

    def _is_evaluation_due(self) -> bool:
        settings, epoch = self.run.settings, self.run.state.epoch + 1
        is_due = epoch % settings.eval_every == 0 or epoch == settings.epochs
        return is_due and self.run.evaluator is not None

    def _evaluate(self) -> Evaluation:
        """Evaluate the weights as they are; a signal ends this at once, since all is saved."""
        run, state = self.run, self.run.state
        assert run.evaluator is not None
        # Each process has running statistics of its own, where BatchNorm does not span them.
        run.processes.broadcast_buffers(state.eval_model)
        with self.interrupts.let_through():
            metrics, detections = run.evaluator(state.eval_model)
        board, dataset = self.recorder.board, run.evaluator.dataset
        board.pictures(dataset, detections, state.names, state.steps)
        return metrics, detections

    def _finish_epoch(self, evaluation: Evaluation | None) -> None:
        """Log the epoch, keep its weights, and save what the next one starts from."""
        state, epochs = self.run.state, self.run.settings.epochs
        classification, localisation = (total / state.sums[2] for total in state.sums[:2])
        row: dict[str, Any] = {
            "epoch": state.epoch + 1,
            "lr": state.lr,
            "loss": classification + localisation,
            "classification": classification,
            "localisation": localisation,
            "images_per_second": state.sums[2] / state.seconds,
        }
        line = (
            f"epoch {row['epoch']}/{epochs}: loss {row['loss']:.3f} (classification"
            f" {classification:.3f}, localisation {localisation:.3f}),"
            f" {row['images_per_second']:.1f} images/s"
        )
        is_best = self.run.evaluator is None
        if evaluation is not None:
            row |= headline(evaluation[0])
            line += f"; val {describe_values(row)}"
            is_best = self._is_best(evaluation)
        logger.info(line)
        state.rows.append(row)
        state.epoch, state.step, state.sums, state.seconds = state.epoch + 1, 0, [0.0] * 3, 0.0
        self._record(self.recorder.folder.last, evaluation, is_best=is_best)
        self._save_checkpoint()
        if self.run.is_over and state.epoch < epochs:
            logger.info("stopping early: %d evaluations without a better one", state.unimproved)

    def _is_best(self, evaluation: Evaluation) -> bool:
        """Whether an evaluation is better than all before, of which the state then keeps count."""
        state = self.run.state
        value = quality(evaluation[0], state.start)
        is_best = value > state.best or state.best == -math.inf
        state.best = max(state.best, value)
        state.unimproved = 0 if is_best else state.unimproved + 1
        self._best = evaluation if is_best else self._best
        return is_best

    def _record(
        self, path: Path, evaluation: Evaluation | None, *, is_best: bool, **facts: object
    ) -> None:
        """Write the weights, also as the best ones if they are, and the log."""
        recorder, state = self.recorder, self.run.state
        if not self.run.processes.is_first:
            return
        metrics = None if evaluation is None else evaluation[0]
        recorder.write_weights(path, state.eval_model, state, metrics, **facts)
        if is_best:
            recorder.write_weights(recorder.folder.best, state.eval_model, state, metrics)
            if metrics is not None:
                recorder.write_metrics({**metrics.to_dict(), "epoch": state.epoch}, state.start)
        if state.rows:
            recorder.write_rows(state)
