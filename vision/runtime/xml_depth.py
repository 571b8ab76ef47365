"""The nesting of an XML file, looked at before a library parses it without a limit."""

from pathlib import Path

from defusedxml.ElementTree import DefusedXMLParser

from vision.errors import WeightsError
from vision.files import read_bytes

MAX_BYTES, MAX_DEPTH = 2**28, 100
"""Largest file that is read, and its deepest nesting."""


def check_depth(path: Path) -> None:
    """Refuse elements within elements without end, at which OpenVINO ends the process.

    Raises:
        WeightsError: If there are more than `MAX_DEPTH` within each other.
        OSError: If the file cannot be opened, or has more than `MAX_BYTES`.
        ParseError: If it is no XML.
        DefusedXmlException: If it has entities.
    """
    parser = DefusedXMLParser(target=_Depth(path))
    parser.feed(read_bytes(path, MAX_BYTES))
    parser.close()


class _Depth:
    """What an XML parser calls at the begin and the end of each element."""

    def __init__(self, path: Path) -> None:
        self._path, self._depth = path, 0

    def start(self, _tag: str, _attributes: object) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise WeightsError(
                f"weights {self._path} have more than {MAX_DEPTH} nested elements; they"
                " were not written by ssdlite export"
            )

    def end(self, _tag: str) -> None:
        self._depth -= 1

    def close(self) -> None:
        """Nothing is kept."""
