"""Training: from a configuration to a run folder with weights, log, metrics and pictures."""

import logging
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vision.config import Config, dump_config
from vision.device import choose_device
from vision.engine.build import build_run, start_run
from vision.engine.checkpoint import Checkpoints
from vision.engine.distributed import Processes, started_processes
from vision.engine.epoch import finish_epoch, log_epoch, train_epoch
from vision.engine.evaluation import Evaluation, describe_values, headline
from vision.engine.forecast import log_coverage, log_duration
from vision.engine.interrupts import Interrupts, caught_interrupts
from vision.engine.plan import make_plan
from vision.engine.recorder import Recorder
from vision.engine.run import Run
from vision.engine.run_folder import RunFolder
from vision.engine.sheet import draw_sheet
from vision.engine.step import keep_freed_memory
from vision.engine.summary import WriteReport, summarise
from vision.engine.tensorboard import TensorBoardWriter
from vision.engine.validation import measure_again, settle_validation
from vision.metrics import Metrics

logger = logging.getLogger(__name__)
AGREE_EVERY = 10  # Several processes ask each other every 10 steps whether to save or stop.


def train(
    config: Config, out: Path, *, resume: bool = False, write_report: WriteReport | None = None
) -> Metrics | None:
    """Train, evaluate every few epochs and keep the best weights; only the first process writes.

    Args:
        config: The configuration of the run.
        out: The run folder; it must not hold a run yet, unless ``resume`` is set.
        resume: Continue from the newest checkpoint, if there is one.
        write_report: Called at the end if there is ``data.val``.

    Returns:
        The metrics of the best weights; None without ``data.val``.

    Raises:
        VisionError: A subclass, for a problem that the user can solve.
        Interrupted: After SIGTERM, SIGHUP or Ctrl-C; during an epoch, a checkpoint is saved first.
    """
    with (
        started_processes(config.train.device) as processes,
        caught_interrupts() as interrupts,
        closing(RunFolder(out, resume=resume)) as folder,
    ):
        return Trainer.setup(config, folder, processes, interrupts).fit(write_report)


@dataclass(slots=True)
class Trainer:
    """Trains in one process, from the start of a run or a checkpoint to its end."""

    run: Run
    recorder: Recorder
    checkpoints: Checkpoints
    interrupts: Interrupts
    _is_val_changed: bool  # since the best weights were evaluated
    _best: Evaluation | None = None  # of the best weights, unless an earlier process evaluated them
    _saved_at: float = field(default_factory=time.monotonic)

    @classmethod
    def setup(
        cls, config: Config, folder: RunFolder, processes: Processes, signals: Interrupts
    ) -> "Trainer":
        """Build a trainer that is ready for the first step, or for the next one after a resume."""
        if processes.is_first:
            folder.check()
        device = choose_device(processes.device(config.train.device))
        if device.type == "cpu":
            keep_freed_memory()
        plan = make_plan(config, folder, device, processes, resume=folder.resume)
        run, config = build_run(plan, device, processes), plan.config
        log_coverage(run)
        if processes.is_first:
            folder.make()
        checkpoints = Checkpoints(folder.states, config.train.keep_states)
        is_resumed = folder.resume and checkpoints.restore(run.state, processes)
        if not is_resumed:
            start_run(run, plan)
        is_val_changed = settle_validation(run)
        is_written = processes.is_first and not run.is_over
        events = folder.tensorboard if is_written and config.train.tensorboard else None
        board = TensorBoardWriter(events, run.state.steps)
        recorder = Recorder(folder, board, plan)
        if is_written:
            recorder.write_setup(dump_config(config), device)
            if not is_resumed:
                if config.loss.assignment == "ssd":
                    priors, match_iou = run.state.model.priors, config.loss.match_iou
                    board.matches(run.train_set.targets, priors, match_iou)
                draw_sheet(run, folder.sheet)
        return cls(run, recorder, checkpoints, signals, is_val_changed)

    def fit(self, write_report: WriteReport | None = None) -> Metrics | None:
        """Train for the remaining epochs; return the metrics of the best weights, if evaluated."""
        run = self.run
        with closing(self.recorder.board) as board:
            if self._is_val_changed:
                self._best = measure_again(run, self.recorder)
                self._save_checkpoint()
            if not run.is_over:
                logger.info("run folder: %s", self.recorder.folder.path)
                starts = run.settings.evaluates_start and not run.state.steps
                log_duration(run, self._evaluate_start() if starts else None)
            with self.interrupts.held():
                while not run.is_over:
                    train_epoch(run, board, self._is_pause_due, self._pause)
                    evaluation = None
                    if run.is_evaluation_due:
                        self._save_checkpoint()  # The evaluation may be interrupted.
                        evaluation = self._evaluate()
                    self._finish_epoch(evaluation)
                    run.processes.barrier()
                    self._stop_if_asked()
        return summarise(run, self.recorder, self._best, self._save_checkpoint, write_report)

    def _evaluate_start(self) -> float:
        """Evaluate and save the weights before the first step; return the seconds that it took."""
        state, path, began = self.run.state, self.recorder.folder.start, time.perf_counter()
        if self.run.evaluator is not None:
            evaluation = self._evaluate()
            state.start = evaluation.metrics.to_dict()
            row = {"epoch": 0, **headline(state.start)}
            logger.info("epoch 0, before the first step: val %s", describe_values(row))
            self._record(row, evaluation, path, known=state.known)
        elif self.run.processes.is_first:
            self.recorder.write_weights(path, state.eval_model, state, None, known=state.known)
        return time.perf_counter() - began

    def _is_pause_due(self) -> bool:
        """Whether to save now, because the last checkpoint is old or a signal has arrived."""
        run, waited = self.run, time.monotonic() - self._saved_at
        is_due = waited > 60 * run.settings.save_minutes or self.interrupts.number is not None
        if run.processes.size == 1:
            return is_due
        # Communication takes time, and all processes must ask after the same step.
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
        """Leave all processes if any of them has received a signal."""
        if self.run.processes.any(self.interrupts.number is not None, self.run.device):
            steps = self.run.state.steps
            logger.info("checkpoint saved after step %d: --resume continues from it", steps)
            self.interrupts.leave()

    def _evaluate(self) -> Evaluation:
        """Evaluate the current weights; a signal ends this at once, since everything is saved."""
        run, state = self.run, self.run.state
        assert run.evaluator is not None
        # Without SyncBatchNorm, each process has running statistics of its own.
        run.processes.broadcast_buffers(state.eval_model)
        with self.interrupts.let_through():
            evaluation = run.evaluator(state.eval_model)
        dataset, detections = run.evaluator.dataset, evaluation.detections
        self.recorder.board.pictures(dataset, detections, state.names, state.steps)
        return evaluation

    def _finish_epoch(self, evaluation: Evaluation | None) -> None:
        """Log the epoch, save its weights, and write a checkpoint."""
        run, state = self.run, self.run.state
        row, seconds = finish_epoch(state)
        row |= headline(evaluation.metrics.to_dict()) if evaluation is not None else {}
        log_epoch(row, run.settings.epochs, seconds)
        self._record(row, evaluation, self.recorder.folder.last)
        self._save_checkpoint()
        if run.is_over and state.epoch < run.settings.epochs:
            logger.info("stopping early: %d evaluations without a better one", state.unimproved)

    def _record(
        self, row: dict[str, Any], evaluation: Evaluation | None, path: Path, **facts: object
    ) -> None:
        """Add a row to the log and write it with the weights, also as the best ones if they are."""
        state, metrics, is_best = self.run.state, None, self.run.evaluator is None
        if evaluation is not None:
            metrics, is_best = evaluation.metrics, state.compare(evaluation.metrics)
            self._best = evaluation if is_best else self._best
        state.rows.append(row)
        if self.run.processes.is_first:
            self.recorder.write_epoch(path, state, metrics, is_best=is_best, **facts)
