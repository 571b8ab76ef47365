"""``ssdlite check``."""

import argparse
from pathlib import Path

from vision.atomic import replacing
from vision.check import CheckReport, Priors, check_data, render_page, scan_data
from vision.cli.options import check_output_path
from vision.config import Config, load_config
from vision.convert import load_initial_weights
from vision.data import read_sources
from vision.engine import write_json
from vision.errors import ConfigError
from vision.formats import Annotations
from vision.model import build_model
from vision.weights import match_network

__all__ = ["run"]

FAULTY = 1
"""The exit code where there are errors."""


def run(options: argparse.Namespace) -> int:
    """Check the data, print a summary, write a report with ``--out`` and a copy with ``--fix``."""
    config = load_config(options.config, options.overrides)
    if options.out:
        check_output_path(options.out / "check.json", overwrite=options.overwrite)
    splits = {
        key: read_sources(source, f"data.{key}", strict=False)
        for key in ("train", "val")
        if (source := getattr(config.data, key))
    }
    if not splits:
        raise ConfigError("name the data with --data FOLDER, or with --config and data.train")
    items = scan_data(splits)
    report = check_data(splits, items, config.data.classes, _priors(config))
    for line in report.lines():
        print(line)
    if options.out:
        _write(options.out, report, splits, "data")
    return FAULTY if report.counts()["error"] else 0


def _priors(config: Config) -> Priors:
    """The priors that a training with this configuration has."""
    network = config.model
    if network.init is not None:
        saved = load_initial_weights(network.init, network.backbone)
        network, _ = match_network(network, saved)
    model = build_model(network, num_classes=1)
    return Priors(model.priors, network.image_size, config.loss.match_iou)


def _write(folder: Path, report: CheckReport, splits: dict[str, Annotations], title: str) -> None:
    page = render_page(report, splits, title)
    write_json(folder / "check.json", report.to_dict())
    with replacing(folder / "check.html") as path:
        path.write_text(page, encoding="utf-8")
    print(f"the page is {folder / 'check.html'}, its data check.json")
