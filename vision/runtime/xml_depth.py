"""Check of an XML file's nesting, before a library parses it without a limit."""

from pathlib import Path

from defusedxml.ElementTree import DefusedXMLParser

from vision.errors import WeightsError
from vision.files import read_bytes

MAX_BYTES, MAX_DEPTH = 2**28, 100
"""Maximum size of a file in bytes, and maximum depth of its elements."""


def check_depth(path: Path) -> None:
    """Make sure that elements are not nested so deeply that OpenVINO would end the process.

    Raises:
        WeightsError: If more than `MAX_DEPTH` elements are nested.
        OSError: If the file cannot be opened, or has more than `MAX_BYTES`.
        ParseError: If it is not XML.
        DefusedXmlException: If it declares entities.
    """
    parser = DefusedXMLParser(target=_Depth(path))
    parser.feed(read_bytes(path, MAX_BYTES))
    parser.close()


class _Depth:
    """Counts nested elements; an XML parser calls it at the start and end of each element."""

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
        """Return nothing; the parser calls it at the end."""
