"""``ssdlite init``."""

import argparse
import json

from vision.atomic import replacing
from vision.check import CheckReport, check_configured, named_findings
from vision.check.kinds import LEVELS
from vision.cli.options import check_output_path
from vision.cli.terminal import CommandResult, step
from vision.config import load_config, name_data
from vision.files import expand_home

CONFIG = "train.yaml"
_TEXT = """\
# A training on {root}
# Start it:     {train}
# Continue it:  the same with --resume
# Remove a # in front of a key to set it; ssdlite's docs/configuration.md explains all keys.
#
# {counts}
# found by ssdlite check: {findings}

model:
  init: coco  # weights to start from: coco, voc, imagenet, none, a weights file or a run folder
  # image_size: 384  # a larger size finds smaller objects, and takes longer

data:
  train: {train_source}
  val: {val_source}
  # classes: {classes}  # only these, in this order

train:
  recipe: auto  # chooses the keys that are not set here to suit the data, and prints why
  # epochs: 50
  # batch_size: 16  # a smaller one takes less memory
  # device: cuda  # default: a GPU if there is one
  # patience: 5  # stop after this number of evaluations without improvement

# optim: {{lr: 0.01}}
"""


def run(options: argparse.Namespace) -> CommandResult:
    """Check the data, and write a configuration with the findings as comments."""
    file = options.folder / CONFIG
    check_output_path(file, overwrite=options.overwrite, option="DIR")
    root = str(expand_home(options.data or options.folder).absolute())
    config = load_config("finetune", name_data(root))
    report = check_configured(config.data)
    start = step("train", "--config", file, "--out", options.folder / "run", why="Train with it:")
    text = _TEXT.format(
        root=root,
        train=start.command,
        counts=", ".join(
            f"{split}: {row['images']:,} images with {row['boxes']:,} boxes"
            for split, row in report.splits.items()
        ),
        findings=_findings(report),
        train_source=_source(root, "train"),
        val_source=_source(root, "val"),
        classes=json.dumps(list(report.classes), ensure_ascii=False),
    )
    options.folder.mkdir(parents=True, exist_ok=True)
    with replacing(file) as path:
        path.write_text(text, encoding="utf-8")
    print(f"{file}: {len(report.classes)} classes, {_findings(report)}")
    words = ("check", "--config", file, "--out", options.folder / "check")
    look = step(*words, why="See the faults of the data:")
    if report.stopping():
        copy = f"{root}-repaired"
        repair = step("check", "--data", root, "--fix", copy, why="Training refuses it; repair it:")
        again = step("init", options.folder, "--data", copy, "--overwrite", why="Begin again:")
        return CommandResult(steps=[look, repair, again])
    return CommandResult(steps=[*([look] if report.findings else []), start])


def _findings(report: CheckReport) -> str:
    """The errors, warnings and notes on one line."""
    found = {
        level: named_findings(one for one in report.findings if one.level == level)
        for level in LEVELS
    }
    return "; ".join(f"{level}s: {text}" for level, text in found.items() if text) or "nothing"


def _source(root: str, split: str) -> str:
    values = {"format": "auto", "root": root, "split": split}
    return json.dumps(values, ensure_ascii=False)
