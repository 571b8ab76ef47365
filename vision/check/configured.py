"""Checking the data that a configuration names, on request or before training."""

import shlex
from collections.abc import Iterable

from vision.check.check import check_data
from vision.check.images import scan_data
from vision.check.report import CheckReport, Finding
from vision.config import DataConfig
from vision.data import read_sources
from vision.errors import DataError
from vision.formats import Annotations


def read_configured(data: DataConfig) -> dict[str, Annotations]:
    """Read the data of ``train`` and ``val``, and collect their faults instead of raising them."""
    sources = {"train": data.train, "val": data.val}
    splits = {
        split: read_sources(source, f"data.{split}", strict=False)
        for split, source in sources.items()
        if source or split == "train"
    }
    if "val" in splits:  # If a folder was divided, both splits have the faults of all of it.
        known = splits["train"].faults
        splits["val"].faults = [fault for fault in splits["val"].faults if fault not in known]
    return splits


def check_configured(data: DataConfig) -> CheckReport:
    """Check the data of ``train`` and ``val``."""
    splits = read_configured(data)
    return check_data(splits, scan_data(splits), data.classes)


def check_before_training(data: DataConfig, folder: str) -> list[str]:
    """Check the data before training.

    Args:
        data: The configuration of the data.
        folder: The value of ``--data``.

    Returns:
        Lines that list the kinds of warnings, and of errors that do not stop training.

    Raises:
        DataError: If training would refuse the data; names the errors and the commands that help.
    """
    report = check_configured(data)
    command = f"ssdlite check --data {shlex.quote(folder)}"
    errors = [finding for finding in report.findings if finding.level == "error"]
    if stopping := report.stopping():
        first = stopping[0].places[0].text(report.root)
        raise DataError(
            f"--data {folder} has errors: {named_findings(errors)}; the first that stops training:"
            f" {first}; show all with {command} --out check, or repair a copy with {command} --fix"
            f" {shlex.quote(folder.rstrip('/') + '-repaired')}"
        )
    found = [*errors, *(finding for finding in report.findings if finding.level == "warning")]
    if not found:
        return ["check: no errors and no warnings"]
    return [f"check: {named_findings(found)}; {command} shows where"]


def named_findings(findings: Iterable[Finding]) -> str:
    """The kinds of findings with their counts, in one line."""
    return ", ".join(f"{finding.kind} {finding.count:,}" for finding in findings)
