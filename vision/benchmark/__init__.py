"""How fast and how good a detector is on each backend of this machine."""

from vision.benchmark.contenders import EAGER, Entrant, list_entrants, open_contender
from vision.benchmark.measure import Times, measure_times, peak_memory, throughput
from vision.benchmark.report import Row, draw, row_of, table

__all__ = [
    "EAGER",
    "Entrant",
    "Row",
    "Times",
    "draw",
    "list_entrants",
    "measure_times",
    "open_contender",
    "peak_memory",
    "row_of",
    "table",
    "throughput",
]
