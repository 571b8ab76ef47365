"""HTML pages: how good a detector is, what it gets wrong and what to do; two detectors compared."""

from vision.report.commands import Commands, commands_for
from vision.report.compare import render_comparison
from vision.report.differences import text_lines, verdict
from vision.report.gallery import Photo
from vision.report.kinds import Sentence
from vision.report.page import render_report
from vision.report.summary import next_steps, summarise
from vision.report.write import (
    REPORT,
    photos_in,
    photos_of,
    write_page,
    write_report,
    write_run_report,
)

__all__ = [
    "REPORT",
    "Commands",
    "Photo",
    "Sentence",
    "commands_for",
    "next_steps",
    "photos_in",
    "photos_of",
    "render_comparison",
    "render_report",
    "summarise",
    "text_lines",
    "verdict",
    "write_page",
    "write_report",
    "write_run_report",
]
