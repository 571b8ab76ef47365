"""``ssdlite train``."""

import argparse
import logging
from pathlib import Path

from vision.check import check_before_training
from vision.cli.terminal import MAX_STEPS, CommandResult, Step, paint_table, step
from vision.config import Config, load_config, name_data
from vision.data import DetectionDataset
from vision.engine import RunFolder, is_first_process, train
from vision.metrics import Metrics
from vision.metrics.analysis import Analysis
from vision.report import REPORT, Sentence, next_steps, write_run_report

_SEE = "See it on photographs of yours:"
logger = logging.getLogger(__name__)


def run(options: argparse.Namespace) -> CommandResult:
    """Check the data, train, and print the metrics of the best weights and the next steps."""
    config = load_config(options.config, [*name_data(options.data), *options.overrides])
    out = options.out or Path("runs") / Path(options.config).stem
    advice: list[Sentence] = []

    def write_report(analysis: Analysis, dataset: DetectionDataset, folder: Path) -> None:
        commands = write_run_report(analysis, dataset, folder)
        advice.extend(next_steps(analysis, commands))

    if options.data and not options.resume:
        _check(config, options.data, out)
    metrics = train(config, out, resume=options.resume, write_report=write_report)
    if not is_first_process():
        return CommandResult()
    if metrics is not None:
        print(paint_table(metrics.table()))
    print(f"weights, log and pictures are in {out}")
    if metrics is not None:
        print(f"the report is {out / REPORT}")
    steps = [Step(one.command, one.text) for one in advice if one.command]
    if not advice:  # otherwise, its commands include one that detects
        steps.append(step("detect", "photos/", "--weights", out, why=_SEE))
    why = "Write it for other runtimes:"
    steps.append(step("export", "--weights", out, "--to", "onnx", why=why))
    return CommandResult(values=_values(out, metrics), steps=steps[:MAX_STEPS])


def _check(config: Config, folder: str, out: Path) -> None:
    """Check the run folder, then the data, in the first process; if it fails, all stop."""
    if not is_first_process():
        return
    RunFolder(out, resume=False).check()
    readers = logging.getLogger("vision.data")  # Training logs their messages; not twice.
    level = readers.level
    readers.setLevel(logging.WARNING)
    try:
        lines = check_before_training(config.data, folder)
    finally:
        readers.setLevel(level)
    for line in lines:
        logger.info(line)


def _values(out: Path, metrics: Metrics | None) -> dict[str, object]:
    content = None if metrics is None else metrics.to_dict()
    report = None if metrics is None else out / REPORT
    return {"out": out, "report": report, "metrics": content}
