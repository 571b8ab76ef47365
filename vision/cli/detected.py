"""The summary, the result and the next steps at the end of ``ssdlite detect``."""

import argparse
from collections.abc import Sequence
from itertools import pairwise

from vision.choices import SHIPPED_WEIGHTS
from vision.cli.options import is_in_run_folder
from vision.cli.terminal import CommandResult, Step, paint, step
from vision.detection import FOLDERS, RESULTS, Report
from vision.detection.counting import describe
from vision.rows import describe_counts

SOME_FAILED = 1
"""The exit code if an input failed."""
LOW_SCORE = 0.2
"""The score threshold that is suggested if nothing was found."""


def conclude(
    report: Report, options: argparse.Namespace, saved: Sequence[str], rate: float
) -> CommandResult:
    """Print a summary of the run and return its result; ``rate`` is in images per second."""
    out, code = options.out, SOME_FAILED if report.failures else 0
    resumed = f", {_inputs(report.num_resumed)} done before" if report.num_resumed else ""
    found, inputs = describe_counts(report.objects), describe_counts(report.inputs, "no image")
    print(
        f"{paint(found, 'heading')} in {inputs}; {rate:.1f} images/s{resumed}; results are in {out}"
    )
    for video, counts in report.counts.items():
        for region, numbers in counts.items():
            print(f"{video}, {region}: {describe(numbers, classes=True)}")
    if report.num_capped:
        print(
            "images or frames with the maximum number of detections, where others may be left out:"
            f" {report.num_capped}; raise --max or --score"
        )
    if report.failures:
        print(f"{_inputs(len(report.failures))} failed, as reported above{_tried_again(report)}")
    values = {
        "out": out,
        "files": [out / RESULTS.get(kind, kind) for kind in (*RESULTS, *FOLDERS) if kind in saved],
        "inputs": report.inputs,
        "objects": report.objects.total(),
        "classes": report.objects,
        "images_per_second": rate,
        "failures": report.failures,
        "counts": report.counts,
        "capped": report.num_capped,
        "others": len(report.others),
        "resumed": report.num_resumed,
    }
    return CommandResult(code, values, _steps(options, report))


def _inputs(number: int) -> str:
    return describe_counts({"input": number})


def _tried_again(report: Report) -> str:
    """How many failed inputs ``--resume`` tries again: not streams, whose frames are kept."""
    if not report.num_final:
        return "; --resume tries again"
    number = len(report.failures) - report.num_final
    return f"; --resume tries {number} of them again" if number else ""


def _steps(options: argparse.Namespace, report: Report) -> list[Step]:
    """The next step: try again, join shards, lower the threshold, train, or evaluate."""
    weights = options.given_weights
    if len(report.failures) > report.num_final:
        return [_again(options, "--resume", why="Try the failed inputs again:")]
    if options.shard:
        words = ["merge", options.out, "OTHERS", "--out", "merged"]
        return [step(*words, why="Join the results when all shards have finished:")]
    scores = [text.rpartition("=")[2] for text in options.score or ["best"]]
    if not report.objects and any(s == "best" or float(s) > LOW_SCORE for s in scores):
        why = "Nothing was found. Lower the score threshold:"
        return [_again(options, f"--score={LOW_SCORE}", "--overwrite", why=why)]
    if str(weights) in SHIPPED_WEIGHTS:
        return [step("train", "--data", "MINE", why="Train it on classes of your own photographs:")]
    data = [] if is_in_run_folder(options.weights) else ["--data", "MINE"]
    words = ["eval", "--weights", weights, *data, "--report"]
    return [step(*words, why="Measure how good it is, and see which errors cost most:")]


def _again(options: argparse.Namespace, *added: str, why: str) -> Step:
    """The same command with the ``added`` words; URLs, which may hold passwords, are replaced."""
    replaced = {"--resume", "--overwrite", *(word.partition("=")[0] for word in added)}
    values = {"--score"} & replaced  # options whose next word is their value
    words = [
        word
        for before, word in pairwise(["", *options.words])
        if word.partition("=")[0] not in replaced and before not in values
    ]
    urls = {word for word in options.inputs if "://" in word}
    words = ["INPUT" if word in urls else word for word in words]
    return step("detect", *words, *added, why=why)
