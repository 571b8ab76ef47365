"""``ssdlite check``."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from vision.atomic import replacing
from vision.check import CheckReport, Item, Priors, check_data, render_page, repair, scan_data
from vision.cli.options import claimed
from vision.config import Config, load_config
from vision.convert import load_initial_weights
from vision.data import read_sources
from vision.engine import write_json
from vision.errors import DataError
from vision.formats import Annotations, read_data
from vision.formats.coco import write_coco
from vision.formats.layout import find_layout
from vision.model import build_model
from vision.weights import match_network

FAULTY = 1
"""The exit code where there are errors."""
PAGE, DATA = "check.html", "check.json"


def run(options: argparse.Namespace) -> int:
    """Check the data, print a summary, write a report with ``--out`` and a copy with ``--fix``."""
    files = [options.out / DATA] if options.out else []
    with claimed(files, overwrite=options.overwrite):
        return _check(options)


def _check(options: argparse.Namespace) -> int:
    config = load_config(options.config, options.overrides)
    if options.fix and options.fix.exists():
        raise DataError(f"--fix {options.fix} exists; name a new folder for the repaired copy")
    splits = _read_folder(options.data) if options.data else _read_configured(config)
    items = scan_data(splits)
    report = check_data(splits, items, config.data.classes, _priors(config))
    for line in report.lines():
        print(line)
    if report.findings and not (options.out or options.fix):
        print("--out FOLDER shows them in pictures, --fix FOLDER writes a repaired copy")
    if options.out:
        _write(options.out, report, splits, title=options.data or options.config)
    if options.fix:
        _write_repaired(options.fix, report, splits, items)
    return FAULTY if report.counts()["error"] else 0


def _read_folder(root: str) -> dict[str, Annotations]:
    """All splits of a folder; images that are yet to be split count as ``train``."""
    layout = find_layout(root)
    print(f"{layout.reason}: {', '.join(layout.splits)}")
    if "val" not in layout.splits:
        print("there is no val: ssdlite train keeps a fifth of the images for it")
    return {
        "train" if split == "all" else split: read_data(layout.format, **keys)
        for split, keys in layout.splits.items()
    }


def _read_configured(config: Config) -> dict[str, Annotations]:
    sources = {"train": config.data.train, "val": config.data.val}
    splits = {
        split: read_sources(source, f"data.{split}", strict=False)
        for split, source in sources.items()
        if source or split == "train"
    }
    if "val" in splits:  # both sides of a folder that is split have the faults of all of it
        known = splits["train"].faults
        splits["val"].faults = [fault for fault in splits["val"].faults if fault not in known]
    return splits


def _priors(config: Config) -> Priors:
    """The priors that a training with this configuration has."""
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
    with replacing(folder / PAGE) as path:
        path.write_text(page, encoding="utf-8")
    print(f"the page is {folder / PAGE}, its data are in {DATA}")


def _write_repaired(
    folder: Path, report: CheckReport, splits: Mapping[str, Annotations], items: list[Item]
) -> None:
    with TemporaryDirectory() as images:
        for split, annotations in repair(splits, items, Path(images)).items():
            if annotations.records:
                write_coco(annotations, folder, split)
    print(f"{folder} is a copy in COCO's layout:")
    for finding in report.findings:
        if finding.fix:
            print(f"  {finding.kind}: {finding.count}, {finding.fix}")
    left = sum(not finding.fix for finding in report.findings if finding.level == "error")
    if left:
        print(f"  {left} kinds of errors are left, which only you can put right")
    print(f"train on it with: ssdlite train --data {folder}")
