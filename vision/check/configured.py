"""Checking the data that a configuration names, and what a training says of that."""

import shlex

from vision.check.check import check_data
from vision.check.images import scan_data
from vision.check.report import CheckReport
from vision.config import DataConfig
from vision.data import read_sources
from vision.errors import DataError
from vision.formats import Annotations


def read_configured(data: DataConfig) -> dict[str, Annotations]:
    """The data of ``train`` and ``val``, with their faults listed."""
    sources = {"train": data.train, "val": data.val}
    splits = {
        split: read_sources(source, f"data.{split}", strict=False)
        for split, source in sources.items()
        if source or split == "train"
    }
    if "val" in splits:  # both sides of a folder that is split have the faults of all of it
        known = splits["train"].faults
        splits["val"].faults = [fault for fault in splits["val"].faults if fault not in known]
    return splits


def check_configured(data: DataConfig) -> CheckReport:
    """Check the data of ``train`` and ``val``."""
    splits = read_configured(data)
    return check_data(splits, scan_data(splits), data.classes)


def check_before_training(data: DataConfig, folder: str) -> list[str]:
    """Check the data of a training.

    Args:
        data: Names them.
        folder: What ``--data`` names.

    Returns:
        Lines that name the warnings in short.

    Raises:
        DataError: If there are errors; names them, and what repairs them.
    """
    report = check_configured(data)
    command = f"ssdlite check --data {shlex.quote(folder)}"
    errors = named_findings(report, "error")
    if errors:
        first = next(finding for finding in report.findings if finding.level == "error")
        raise DataError(
            f"--data {folder} has errors: {errors}; the first: {first.places[0].text(report.root)};"
            f" show all with {command} --out check, repair a copy with {command} --fix"
            f" {shlex.quote(folder.rstrip('/') + '-repaired')}"
        )
    warnings = named_findings(report, "warning")
    if not warnings:
        return ["check: no errors and no warnings"]
    return [f"check: {warnings}; {command} shows where"]


def named_findings(report: CheckReport, level: str) -> str:
    """The findings of a level, with their numbers."""
    found = [finding for finding in report.findings if finding.level == level]
    return ", ".join(f"{finding.kind} {finding.count:,}" for finding in found)
