"""The command line: ``ssdlite train|eval|detect``."""

from vision.cli.main import main

__all__ = ["main"]
