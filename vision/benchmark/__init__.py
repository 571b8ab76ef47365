"""Measuring the speed, memory and average precision of a detector on this machine's backends."""

from vision.benchmark.candidates import EAGER, Candidate, list_candidates, load_candidate
from vision.benchmark.matrix import support_matrix
from vision.benchmark.measure import Times, measure_times, peak_memory, throughput
from vision.benchmark.report import Row, draw_chart, row_of, table

__all__ = [
    "EAGER",
    "Candidate",
    "Row",
    "Times",
    "draw_chart",
    "list_candidates",
    "load_candidate",
    "measure_times",
    "peak_memory",
    "row_of",
    "support_matrix",
    "table",
    "throughput",
]
