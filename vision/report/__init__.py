"""The report of an evaluation: one HTML page that says how good, why not better, and what to do."""

from vision.report.commands import Commands, commands_for
from vision.report.gallery import Photo
from vision.report.page import render_report
from vision.report.summary import summarise
from vision.report.write import REPORT, photos_in, photos_of, write_report, write_run_report

__all__ = [
    "REPORT",
    "Commands",
    "Photo",
    "commands_for",
    "photos_in",
    "photos_of",
    "render_report",
    "summarise",
    "write_report",
    "write_run_report",
]
