"""``ssdlite check``."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from vision.check import (
    CheckReport,
    Item,
    Priors,
    check_data,
    read_configured,
    render_page,
    repair,
    scan_data,
)
from vision.cli.options import claimed, data_words
from vision.cli.terminal import CommandResult, Step, paint_lines, step
from vision.config import Config, load_config, name_data
from vision.config.overrides import is_within, key_of
from vision.convert import load_initial_weights
from vision.engine import write_json
from vision.errors import DataError
from vision.formats import Annotations, read_data
from vision.formats.coco import write_coco
from vision.formats.layout import find_layout
from vision.model import build_model
from vision.report import write_page
from vision.weights import match_network

FAULTY = 1
"""The exit code if the data have errors."""
PAGE, DATA = "check.html", "check.json"


def run(options: argparse.Namespace) -> CommandResult:
    """Check the data, print a summary, write a report with ``--out`` and a copy with ``--fix``."""
    files = [options.out / DATA] if options.out else []
    with claimed(files, overwrite=options.overwrite):
        return _check(options)


def _check(options: argparse.Namespace) -> CommandResult:
    is_whole = options.data and not any(map(_sets_source, options.overrides))
    named = [] if is_whole else name_data(options.data)
    config = load_config(options.config, [*named, *options.overrides])
    if options.fix and options.fix.exists():
        raise DataError(f"--fix {options.fix} exists; name a new folder for the repaired copy")
    splits = _read_folder(options.data) if is_whole else read_configured(config.data)
    items = scan_data(splits)
    report = check_data(splits, items, config.data.classes, _priors(config))
    print(paint_lines("\n".join(report.lines())))
    if options.out:
        _write(options.out, report, splits, title=options.data or options.config)
    if options.fix:
        _write_repaired(options.fix, report, splits, items)
    code = FAULTY if report.counts()["error"] else 0
    return CommandResult(code, report.to_dict(), _steps(options, report))


def _sets_source(override: str) -> bool:
    """Whether an override changes ``data.train`` or ``data.val``."""
    key = key_of(override)
    return key == "data" or is_within(key, "data.train") or is_within(key, "data.val")


def _steps(options: argparse.Namespace, report: CheckReport) -> list[Step]:
    """The next steps: look at the findings, have them repaired, and train."""
    data = data_words(options)
    train = ["train", *data]
    if options.fix:
        on_copy = step("train", "--data", options.fix, why="Train on the repaired copy:")
        return [on_copy] if options.fix.exists() else []
    if not report.findings:
        return [step(*train, why="Nothing was found. Train on it:")]
    copy = f"{Path(options.data or 'data')}-repaired"
    steps = []
    if not options.out:
        steps.append(step("check", *data, "--out", "check", why="See them in pictures:"))
    if is_repaired := any(finding.fix for finding in report.findings):
        steps.append(step("check", *data, "--fix", copy, why="Write a repaired copy:"))
    if not report.stopping():
        steps.append(step(*train, why="Train on it as it is:" if is_repaired else "Train on it:"))
    return steps


def _read_folder(root: str) -> dict[str, Annotations]:
    """Read all splits of a folder; images without a split count as ``train``."""
    layout = find_layout(root)
    print(f"{layout.reason}: {', '.join(layout.splits)}")
    if "val" not in layout.splits:
        print("there is no val split: ssdlite train sets a fifth of the images aside for it")
    return {
        "train" if split == "all" else split: read_data(layout.format, **keys)
        for split, keys in layout.splits.items()
    }


def _priors(config: Config) -> Priors | None:
    """The priors that a training with this configuration matches boxes with, if it does so."""
    if config.loss.assignment != "ssd":
        return None
    network = config.model
    if network.init is not None:
        saved = load_initial_weights(network.init, network.backbone)
        network, _ = match_network(network, saved)
    model = build_model(network, num_classes=1)
    return Priors(model.priors, network.image_size, config.loss.match_iou)


def _write(
    folder: Path, report: CheckReport, splits: Mapping[str, Annotations], title: str
) -> None:
    page = render_page(report, splits, title)
    write_json(folder / DATA, report.to_dict())
    write_page(folder / PAGE, page)
    print(f"the page is {folder / PAGE}; the same data are in {DATA}")


def _write_repaired(
    folder: Path, report: CheckReport, splits: Mapping[str, Annotations], items: list[Item]
) -> None:
    with TemporaryDirectory() as images:
        for split, annotations in repair(splits, items, Path(images)).items():
            if annotations.records:
                write_coco(annotations, folder, split)
    if not folder.exists():
        print(f"--fix {folder} was not written: no image is left to copy")
        return
    print(f"{folder} is a copy in COCO's layout:")
    for finding in report.findings:
        if finding.fix:
            print(f"  {finding.kind}: {finding.count}, {finding.fix}")
    left = sum(not finding.fix for finding in report.findings if finding.level == "error")
    if left:
        print(f"  kinds of errors that must be corrected by hand: {left}")
